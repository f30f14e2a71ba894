"""What only the log in Postgres has to do: grants, faults, several doors, followers of real growth."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from itertools import pairwise
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
import uvloop
from eventsourcing.persistence import IntegrityError, StoredEvent
from eventsourcing.postgres import PostgresDatastore
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from adapters.postgres import arrays
from adapters.postgres.append import APPEND, encode, parameters
from adapters.postgres.log import PostgresLog
from adapters.postgres.recorder import LogRecorder
from adapters.postgres.tail import PostgresTail
from commands.ports import Appended, LogUnavailableError, OutcomeUnknownError, StaleStreamError
from domain.catalogue import CATALOGUE
from domain.event import topic
from domain.ids import Actor, Position
from infra.migrate import ROLES
from services.ports.relaying import StoredRow
from tests.log.conftest import APP, open_pool, postgres_logs
from tests.log.dying import dying_server
from tests.log.ground import RELEASED, RESERVED, Logs, entry, key, write
from tests.servers import Database

ADVISORY_LOCK = 7262431
CHANGES = (
    "UPDATE log.events SET topic = 'another'",
    "DELETE FROM log.events",
    "TRUNCATE log.events",
    "TRUNCATE log.events CASCADE",
    "MERGE INTO log.events AS e USING (SELECT 1) AS one ON true WHEN MATCHED THEN DELETE",
)
INSERT = """
INSERT INTO log.events (originator_id, originator_version, topic, state, notification_id, recorded_at, actor,
    correlation)
VALUES (gen_random_uuid(), 1, 'forged', '', 99, now(), 'nobody', gen_random_uuid())
"""


@pytest.fixture
async def logs(database: Database) -> AsyncIterator[Logs]:
    async with postgres_logs(database) as opened:
        yield opened


@asynccontextmanager
async def lock_held(database: Database) -> AsyncIterator[None]:
    """While it is held, whoever appends is on its way but cannot get through."""
    async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as connection:
        await connection.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))
        yield


async def waiting_backend(database: Database) -> int:
    """The server process that waits for the log's lock."""
    async with (
        asyncio.timeout(20),
        await psycopg.AsyncConnection.connect(database.url, autocommit=True) as admin,
    ):
        while True:
            cursor = await admin.execute(
                """SELECT pid FROM pg_stat_activity WHERE datname = current_database()
                AND wait_event_type = 'Lock' AND wait_event = 'advisory' AND query LIKE '%%log.append%%'"""
            )
            if row := await cursor.fetchone():
                return int(row[0])
            await asyncio.sleep(0.01)


async def kill(database: Database, pid: int) -> None:
    async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as admin:
        await admin.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def kill_everybody(owner: psycopg.Connection, role: str) -> None:
    owner.execute(
        """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
        WHERE datname = current_database() AND usename = %s""",
        (role,),
    )


# --- append-only


async def test_no_role_of_the_program_may_touch_a_row(logs: Logs, database: Database) -> None:
    await logs.append(write(uuid4(), 0))
    for role in ROLES:
        with closing(psycopg.connect(database.url_of(role), autocommit=True)) as connection:
            for change in (INSERT, *CHANGES):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(change.encode())
    assert await logs.tail.head() == 1


async def test_even_the_owner_is_stopped_by_the_trigger(logs: Logs, database: Database) -> None:
    await logs.append(write(uuid4(), 0))
    with closing(psycopg.connect(database.url, autocommit=True)) as owner:
        for change in CHANGES:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                owner.execute(change.encode())
    assert await logs.tail.head() == 1


async def test_documents_beside_the_log_are_not_changed_either(database: Database) -> None:
    with closing(psycopg.connect(database.url_of(APP), autocommit=True)) as connection:
        connection.execute("INSERT INTO log.contents (digest, size_bytes, body) VALUES (sha256('a'), 1, 'a')")
        for change in (
            "UPDATE log.contents SET body = 'b'",
            "DELETE FROM log.contents",
            "TRUNCATE log.contents",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(change.encode())


def test_who_only_reads_may_not_append(database: Database) -> None:
    command = encode(entry(write(uuid4(), 0)), CATALOGUE)
    for role in ("comfyplus_project", "comfyplus_query", "comfyplus_relay"):
        with closing(psycopg.connect(database.url_of(role), autocommit=True)) as connection:
            arrays.register(connection)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(APPEND, parameters([command]))


async def test_a_function_of_the_same_name_elsewhere_is_not_called(logs: Logs, database: Database) -> None:
    """The append function runs as its owner: its search path must not be the caller's."""
    with closing(psycopg.connect(database.url_of(APP), autocommit=True)) as connection:
        connection.execute(
            """CREATE FUNCTION pg_temp.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'stolen'; END $$"""
        )
        settings = connection.execute(
            "SELECT proconfig, prosecdef FROM pg_proc WHERE oid = 'log.append'::regproc"
        ).fetchone()
    assert settings == (["search_path=pg_catalog, pg_temp"], True)


# --- faults


async def test_a_connection_killed_on_the_way_leaves_the_outcome_open(logs: Logs, database: Database) -> None:
    stream = uuid4()
    async with lock_held(database):
        lost = asyncio.create_task(logs.append(write(stream, 0)))
        await kill(database, await waiting_backend(database))
        with pytest.raises(OutcomeUnknownError):
            await lost
    assert await logs.append(write(stream, 0)) == Appended(Position(1), Position(1))


async def test_those_who_waited_behind_a_lost_batch_are_written(logs: Logs, database: Database) -> None:
    async with lock_held(database):
        lost = asyncio.create_task(logs.append(write(uuid4(), 0)))
        pid = await waiting_backend(database)
        behind = [asyncio.create_task(logs.append(write(uuid4(), 0))) for _ in range(10)]
        await asyncio.sleep(0)
        await kill(database, pid)
        with pytest.raises(OutcomeUnknownError):
            await lost
    assert sorted(each.first for each in await asyncio.gather(*behind)) == list(range(1, 11))


async def test_a_connection_lost_while_idle_is_noticed_before_anything_is_sent(
    logs: Logs, database: Database
) -> None:
    await logs.append(write(uuid4(), 0))
    with closing(psycopg.connect(database.url, autocommit=True)) as owner:
        kill_everybody(owner, APP)
    assert await logs.append(write(uuid4(), 0)) == Appended(Position(2), Position(2))


async def test_an_unreachable_log_says_so_and_comes_back(database: Database) -> None:
    with closing(psycopg.connect(database.url, autocommit=True)) as owner:
        name = sql.Identifier(str(conninfo_to_dict(database.url)["dbname"]))
        async with postgres_logs(database) as ours:
            owner.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(name))
            kill_everybody(owner, APP)
            with pytest.raises(LogUnavailableError):
                await ours.append(write(uuid4(), 0))
            with pytest.raises(LogUnavailableError):
                await ours.log.read(uuid4())
            owner.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO PUBLIC").format(name))
            assert await ours.append(write(uuid4(), 0)) == Appended(Position(1), Position(1))


async def test_a_caller_who_leaves_does_not_undo_what_is_on_its_way(logs: Logs, database: Database) -> None:
    stream = uuid4()
    async with lock_held(database):
        gone = asyncio.create_task(logs.append(write(stream, 0)))
        await waiting_backend(database)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
    await logs.append(write(uuid4(), 0))
    assert len(await logs.log.read(stream)) == 1


async def test_a_command_that_postgres_refuses_fails_alone(logs: Logs) -> None:
    bad = msgspec.structs.replace(entry(write(uuid4(), 0)), actor=Actor("NUL is no text: \0"))
    ends = await asyncio.gather(
        logs.append(write(uuid4(), 0)),
        logs.log.append(bad),
        logs.append(write(uuid4(), 0)),
        return_exceptions=True,
    )
    assert isinstance(ends[1], psycopg.DataError)
    assert await logs.tail.head() == 2


async def test_a_closing_log_answers_those_who_wait(database: Database) -> None:
    async with lock_held(database):
        async with postgres_logs(database) as ours:
            on_its_way = asyncio.create_task(ours.append(write(uuid4(), 0)))
            await waiting_backend(database)
            queued = asyncio.create_task(ours.append(write(uuid4(), 0)))
            await asyncio.sleep(0)
        ends = await asyncio.gather(on_its_way, queued, return_exceptions=True)
    assert [type(end) for end in ends] == [OutcomeUnknownError, LogUnavailableError]


async def test_beyond_a_full_queue_callers_are_told_to_come_back(database: Database) -> None:
    async with postgres_logs(database, waiting_limit=3) as ours:
        async with lock_held(database):
            first = asyncio.create_task(ours.append(write(uuid4(), 0)))
            await waiting_backend(database)
            waiting = [asyncio.create_task(ours.append(write(uuid4(), 0))) for _ in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(LogUnavailableError, match="Too many"):
                await ours.append(write(uuid4(), 0))
        assert [each.first for each in await asyncio.gather(first, *waiting)] == [1, 2, 3, 4]


# --- a crowd, which goes in two halves


async def test_each_of_a_crowd_is_answered_for_itself(logs: Logs, database: Database) -> None:
    known, gone_on = key("known"), uuid4()
    before = await logs.append(write(gone_on, 0), key=known)
    crowd = [entry(write(uuid4(), 0), write(uuid4(), 0)) for _ in range(100)]
    crowd[3] = entry(write(gone_on, 0))
    crowd[40] = entry(write(uuid4(), 0), write(gone_on, 0))  # a stale beginning behind the first event
    crowd[70] = entry(write(uuid4(), 0), key=known)
    crowd[80] = msgspec.structs.replace(crowd[80], actor=Actor("NUL is no text: \0"))
    crowd[90] = msgspec.structs.replace(crowd[90], actor=Actor("nor is half a character: \ud800"))
    async with lock_held(database):
        answers = asyncio.gather(*map(logs.log.append, crowd), return_exceptions=True)
        await waiting_backend(database)
    ends = await answers
    assert [type(ends[place]) for place in (3, 40, 80, 90)] == [
        StaleStreamError,
        StaleStreamError,
        psycopg.errors.CharacterNotInRepertoire,
        UnicodeEncodeError,
    ]
    assert ends[70] == Appended(before.first, before.first, repeated=True)
    written = sorted(end.first for end in ends if isinstance(end, Appended) and not end.repeated)
    assert written == list(range(2, 2 + 2 * 95, 2))
    assert await logs.tail.head() == 1 + 2 * 95


async def test_a_connection_killed_while_both_halves_are_on_their_way_leaves_both_open(
    logs: Logs, database: Database
) -> None:
    streams = [uuid4() for _ in range(64)]
    async with lock_held(database):
        lost = asyncio.gather(*(logs.append(write(each, 0)) for each in streams), return_exceptions=True)
        await kill(database, await waiting_backend(database))
        assert {type(end) for end in await lost} == {OutcomeUnknownError}
    again = await asyncio.gather(*(logs.append(write(each, 0)) for each in streams))
    assert sorted(each.first for each in again) == list(range(1, 65))


# --- several doors


@pytest.fixture
def recorder(database: Database) -> Iterator[LogRecorder]:
    named = conninfo_to_dict(database.url_of(APP))
    values = [str(named.get(name) or "") for name in ("dbname", "host", "port", "user", "password")]
    with PostgresDatastore(
        *values, schema="log", pool_size=1, max_overflow=9, connect_timeout=30
    ) as datastore:
        yield LogRecorder(datastore)


async def test_the_two_doors_refuse_each_others_old_versions(logs: Logs, recorder: LogRecorder) -> None:
    stream, state = uuid4(), b"{}"
    await logs.append(write(stream, 0))
    with pytest.raises(IntegrityError):
        recorder.insert_events([StoredEvent(stream, 1, "a", state)])
    assert recorder.insert_events([StoredEvent(stream, 2, "a", state)]) == [2]
    with pytest.raises(StaleStreamError):
        await logs.append(write(stream, 1))


async def test_a_follower_misses_nothing_of_several_doors(
    logs: Logs, database: Database, recorder: LogRecorder
) -> None:
    """Who reads behind the last position it saw sees every event once, in order, while all doors write."""
    per_writer, async_writers, sync_writers = 40, 24, 4
    total = per_writer * (2 * async_writers + sync_writers)

    async def writer(ours: Logs) -> None:
        stream = uuid4()
        for version in range(per_writer):
            await ours.append(write(stream, version), key=key(f"{stream} {version}"))

    def sync_writer() -> None:
        stream = uuid4()
        for version in range(1, per_writer + 1):
            recorder.insert_events([StoredEvent(stream, version, topic(RELEASED), b"{}")])

    async def follower(tail: PostgresTail) -> list[StoredRow]:
        seen: list[StoredRow] = []
        while len(seen) < total:
            seen += await tail.rows(Position(seen[-1].position if seen else 0), 7)
        return seen

    async with (
        asyncio.timeout(60),
        postgres_logs(database) as other,
        PostgresTail(database.url_of(APP)) as tail,
    ):
        following = asyncio.create_task(follower(tail))
        threads = [threading.Thread(target=sync_writer) for _ in range(sync_writers)]
        for thread in threads:
            thread.start()
        await asyncio.gather(*[writer(ours) for ours in (logs, other) for _ in range(async_writers)])
        seen = await following
    for thread in threads:
        thread.join()
    assert [row.position for row in seen] == list(range(1, total + 1))
    assert len({(row.stream, row.version) for row in seen}) == total
    assert all(earlier.at <= later.at for earlier, later in pairwise(seen))


async def test_one_stream_over_two_doors_has_one_history(logs: Logs, database: Database) -> None:
    stream, granted = uuid4(), 20

    async def writer(ours: Logs) -> None:
        while len(events := await ours.log.read(stream)) < granted:
            try:
                await ours.append(write(stream, len(events)))
            except StaleStreamError:
                continue

    async with asyncio.timeout(30), postgres_logs(database) as other:
        await asyncio.gather(writer(logs), writer(other), writer(logs), writer(other))
    versions = [each.version for each in await logs.log.read(stream)]
    assert versions == list(range(1, len(versions) + 1))
    assert await logs.tail.head() == len(versions) >= granted


async def test_time_in_the_log_never_goes_back(logs: Logs, database: Database) -> None:
    """Whatever a clock says: the newest row's time is the least that the next one can have."""
    with closing(psycopg.connect(database.url, autocommit=True)) as owner:
        owner.execute(
            INSERT.replace("99, now()", "1, now() + interval '1 hour'").replace(
                "'forged'", f"'{topic(RESERVED)}'"
            )
        )
        owner.execute("SELECT log.seal_the_rest()")
    await logs.append(write(uuid4(), 0))
    forged, ours = await logs.everything()
    assert ours.at == forged.at


async def test_positions_go_on_after_a_restart_of_the_door(database: Database) -> None:
    stream: UUID = uuid4()
    for turn in range(3):
        async with postgres_logs(database) as ours:
            assert (await ours.append(write(stream, turn))).first == turn + 1


def test_a_server_that_dies_on_an_unread_command_is_noticed_on_the_event_loop_of_production(
    database: Database,
) -> None:
    url = database.url_of(APP)

    async def append_to_a_dying_server() -> None:
        with dying_server(url) as (its_url, die_at_the_next_command):
            async with open_pool(url) as pool, PostgresLog(its_url, pool) as log, asyncio.timeout(20):
                await log.append(entry(write(uuid4(), 0)))
                die_at_the_next_command()
                with pytest.raises(OutcomeUnknownError):
                    await log.append(entry(write(uuid4(), 0)))
                await log.append(entry(write(uuid4(), 0)))  # over a new connection

    uvloop.run(append_to_a_dying_server())
