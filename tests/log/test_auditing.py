"""The audit that goes on all the time: it finds by itself what was done to the log, and says so until it is over."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, suppress
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from adapters.postgres.seals import PostgresAudits, PostgresSeals
from adapters.postgres.tail import PostgresTail
from domain.ids import Position
from domain.seal import FaultKind
from services.auditing import Auditing, Pace
from services.ports.sealing import Finding
from tests.log.conftest import APP, postgres_logs
from tests.log.ground import entry, now, write
from tests.servers import Database

HASTY = Pace(every_s=0.02, events_s=1e6)
PATIENCE_S = 20.0


@pytest.fixture
def audits(database: Database) -> Iterator[PostgresAudits]:
    with closing(PostgresAudits(database.url_of(APP))) as opened:
        yield opened


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with closing(psycopg.connect(database.url, autocommit=True)) as opened:
        opened.execute("ALTER TABLE log.events DISABLE TRIGGER ALL")
        opened.execute("ALTER TABLE log.seals DISABLE TRIGGER ALL")
        yield opened


async def append(database: Database, commits: int) -> None:
    async with postgres_logs(database) as logs:
        for _ in range(commits):
            await logs.log.append(entry(write(uuid4(), 0)))


@asynccontextmanager
async def auditing(database: Database, audits: PostgresAudits) -> AsyncIterator[None]:
    url = database.url_of(APP)
    async with PostgresTail(url) as tail:
        with closing(PostgresSeals(url)) as log:
            task = asyncio.create_task(Auditing(tail, log, audits, now, HASTY).run())
            try:
                yield
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


async def until(condition: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


def fault(audits: PostgresAudits, name: str) -> tuple[int, FaultKind] | None:
    finding = audits.read().get(name)
    return (finding.fault.position, finding.fault.kind) if finding and finding.fault else None


async def test_a_sound_log_is_found_sound_as_it_grows(database: Database, audits: PostgresAudits) -> None:
    await append(database, 5)
    async with auditing(database, audits):
        await until(lambda: audits.read().keys() == {"tail", "round"} and audits.read()["round"].rounds > 1)
        assert audits.read()["tail"].link.position == 5
        await append(database, 3)
        await until(lambda: audits.read()["tail"].link.position == 8)
    assert not [each for each in audits.read().values() if each.fault]


async def test_what_was_changed_long_ago_is_found_on_the_round_and_forgiven_when_mended(
    database: Database,
    audits: PostgresAudits,
    owner: psycopg.Connection[Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    await append(database, 6)
    ((actor,),) = owner.execute("SELECT actor FROM log.events WHERE notification_id = 3").fetchall()
    owner.execute("UPDATE log.events SET actor = 'nobody' WHERE notification_id IN (3, 5)")
    with caplog.at_level(logging.ERROR, "services.auditing"):
        async with auditing(database, audits):
            await until(lambda: fault(audits, "round") == (3, FaultKind.CHANGED))
            await append(database, 1)
            await until(lambda: audits.read()["tail"].link.position == 7)
            assert fault(audits, "tail") is None
            owner.execute("UPDATE log.events SET actor = %s WHERE notification_id IN (3, 5)", (actor,))
            await until(lambda: fault(audits, "round") is None)
    told = [record for record in caplog.records if record.message == "the log's chain is broken"]
    assert {getattr(record, "position", 0) for record in told} == {3}


async def test_new_events_that_are_wrong_are_found_at_once(
    database: Database, audits: PostgresAudits, owner: psycopg.Connection[Any]
) -> None:
    await append(database, 2)
    async with auditing(database, audits):
        await until(lambda: "tail" in audits.read())
        owner.execute(
            """INSERT INTO log.events (originator_id, originator_version, topic, state, notification_id,
            recorded_at, actor, correlation)
            VALUES (gen_random_uuid(), 1, 'name.reserved.v1', '{}', 3, now(), 'me', gen_random_uuid())"""
        )
        await until(lambda: fault(audits, "tail") == (3, FaultKind.UNSEALED))


async def test_an_end_that_was_cut_off_with_its_seals_is_missed_also_after_the_log_has_grown_again(
    database: Database, audits: PostgresAudits, owner: psycopg.Connection[Any]
) -> None:
    await append(database, 5)
    async with auditing(database, audits):
        await until(lambda: "tail" in audits.read())
    owner.execute("DELETE FROM log.events WHERE notification_id > 3")
    owner.execute("DELETE FROM log.seals WHERE last_position > 3")
    async with auditing(database, audits):
        await until(lambda: fault(audits, "tail") == (4, FaultKind.MISSING))
        await append(database, 4)
        await until(lambda: audits.read()["tail"].link.position == 7)
        assert fault(audits, "tail") == (4, FaultKind.MISSING)
    audits_of_owner = PostgresAudits(database.url)
    audits_of_owner.forget()
    audits_of_owner.close()
    async with auditing(database, audits):
        await until(lambda: "tail" in audits.read())
        assert fault(audits, "tail") is None


async def test_an_end_that_was_written_anew_is_noticed(
    database: Database, audits: PostgresAudits, owner: psycopg.Connection[Any]
) -> None:
    await append(database, 5)
    async with auditing(database, audits):
        await until(lambda: "tail" in audits.read())
    owner.execute("DELETE FROM log.events WHERE notification_id > 3")
    owner.execute("DELETE FROM log.seals WHERE last_position > 3")
    await append(database, 4)
    async with auditing(database, audits):
        await until(lambda: fault(audits, "tail") == (5, FaultKind.REWRITTEN))


async def test_postgres_may_go_away_meanwhile(
    database: Database, audits: PostgresAudits, owner: psycopg.Connection[Any]
) -> None:
    await append(database, 2)
    async with auditing(database, audits):
        await until(lambda: "tail" in audits.read())
        owner.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE usename = 'comfyplus_app' AND datname = current_database()"""
        )
        await append(database, 2)
        await until(lambda: still(audits).get("tail", Finding(at=now())).link.position == Position(4))


def still(audits: PostgresAudits) -> dict[str, Finding]:
    try:
        return audits.read()
    except Exception:
        return {}
