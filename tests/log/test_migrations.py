"""Migrations that change what people have already stored."""

from contextlib import closing
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from infra import migrate
from infra.migrate import MIGRATIONS
from tests.log.conftest import postgres_logs
from tests.log.ground import ACTOR, entry, key, write
from tests.servers import bare

EVENT = """
INSERT INTO log.events (originator_id, originator_version, topic, state, notification_id, recorded_at, actor,
    correlation)
VALUES (gen_random_uuid(), 1, 'name.reserved.v1', '{}', 1, now(), %s, gen_random_uuid())
"""
KEY = "INSERT INTO log.idempotency (actor, key, request_hash, position) VALUES (%s, %s, %s, 1)"


def some(folder: Path, upto: str) -> Path:
    """A folder with the migrations up to one of them."""
    folder.mkdir()
    for path in sorted(MIGRATIONS.glob("*.sql")):
        if path.name <= upto:
            (folder / path.name).write_text(path.read_text())
    return folder


@pytest.mark.usefixtures("database_template")
async def test_an_idempotency_key_of_before_is_still_known(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = key("na\u00efve \U0001f511")
    with bare(postgres_url) as database:
        with monkeypatch.context() as patched:
            patched.setattr(migrate, "MIGRATIONS", some(tmp_path / "older", "0003_pre_grants.sql"))
            migrate.migrate(database.url)
        with closing(psycopg.connect(database.url, autocommit=True)) as owner:
            owner.execute(EVENT, (ACTOR,))
            owner.execute(KEY, (ACTOR, known.key, known.request_hash))
        migrate.migrate(database.url)
        async with postgres_logs(database) as logs:
            assert await logs.log.answered(known) == 1
            again = await logs.log.append(entry(write(uuid4(), 0), key=known))
            assert (again.first, again.repeated) == (1, True)
            assert await logs.tail.head() == 1
