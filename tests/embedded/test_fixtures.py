"""The servers the other tests stand on."""

import nats
import psycopg

from tests.servers import Database, NatsServer


def test_each_database_is_migrated_and_fresh(database: Database) -> None:
    with psycopg.connect(database.url) as connection:
        assert connection.execute("SELECT count(*) FROM log.events").fetchone() == (0,)
        connection.execute("CREATE TABLE mark ()")


def test_no_test_sees_what_another_wrote(database: Database) -> None:
    with psycopg.connect(database.url) as connection:
        assert connection.execute("SELECT to_regclass('mark')").fetchone() == (None,)


def test_roles_log_in_with_their_own_rights(database: Database) -> None:
    with psycopg.connect(database.url_of("comfyplus_app")) as connection:
        assert connection.execute("SELECT session_user::text").fetchone() == ("comfyplus_app",)


async def test_the_message_server_knows_app_and_executors(nats_server: NatsServer) -> None:
    for url in (nats_server.url, nats_server.url_of("gpu-1")):
        connection = await nats.connect(url, allow_reconnect=False)
        assert connection.is_connected
        await connection.close()
