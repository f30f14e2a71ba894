"""Live read models: every event once, whatever gets lost, repeated, killed or poisoned."""

import asyncio
from uuid import uuid4

import psycopg
import pytest
from msgspec.structs import replace

from domain.account import AccountErased
from domain.event import AnyRecorded
from domain.ids import Position
from domain.run import RunStarted
from domain.workflow import WorkflowRenamed
from projections import generations
from projections.consistency import Positions
from projections.projection import Buffer, Projection
from projections.rebuild import rebuild
from projections.tables import prepare
from projections.writer import SteppedBackError, Writer
from tests.projections.ground import (
    PROJECTIONS,
    Books,
    Channel,
    at_position,
    checkpoint,
    connecting,
    eventually,
    running,
    stop,
    stored,
)
from tests.projections.stories import ANN, everything, joined, run, submitted, workflow
from tests.servers import Database

ALL = tuple(PROJECTIONS.values())
SHELF, RUNS = PROJECTIONS["workflow_shelf"], PROJECTIONS["run_status"]


async def rebuilt_is_the_same(database: Database, projection: Projection) -> None:
    followed = stored(database, projection)
    await rebuild(projection, connecting(database))
    assert stored(database, projection) == followed


async def test_events_become_visible_as_they_come(database: Database, books: Books) -> None:
    feed = Channel()
    async with running(database, feed):
        for told in everything():
            feed.give(books.add(told))
        for name in PROJECTIONS:
            await at_position(database, name, len(books.events))
    for projection in ALL:
        await rebuilt_is_the_same(database, projection)


async def test_what_the_feed_loses_or_repeats_is_read_from_the_log(database: Database, books: Books) -> None:
    feed = Channel()
    async with running(database, feed):
        await at_position(database, "run_status", 0)
        events = books.add(*everything())
        feed.give([*events[:3], *events[1:4], *events[9:]])
        feed.give(events[:2])
        for name in PROJECTIONS:
            await at_position(database, name, len(events))
    for projection in ALL:
        await rebuilt_is_the_same(database, projection)


async def test_without_any_feed_the_log_is_enough(database: Database, books: Books) -> None:
    async with running(database, Channel(), (RUNS,)):
        await at_position(database, "run_status", 0)
        books.add(*everything())
        await at_position(database, "run_status", len(books.events))
    await rebuilt_is_the_same(database, RUNS)


async def test_killed_at_any_moment_nothing_is_lost_or_doubled(database: Database, books: Books) -> None:
    for round in range(12):
        feed = Channel()
        async with running(database, feed, (RUNS, PROJECTIONS["audit_trail"])) as task:
            feed.give(books.add(*run(ANN), *run(ANN)))

            async def begun(before: int = round * 18) -> bool:
                found = checkpoint(database, "run_status")
                return found is not None and found[0] > before

            if round % 2:
                await eventually(begun)
            await stop(task)
    async with running(database, Channel(), (RUNS, PROJECTIONS["audit_trail"])):
        await at_position(database, "run_status", len(books.events))
        await at_position(database, "audit_trail", len(books.events))
    assert len(stored(database, RUNS)["runs"]) == 24
    assert len(stored(database, PROJECTIONS["audit_trail"])["audit_trail"]) == len(books.events)
    await rebuilt_is_the_same(database, RUNS)


async def test_cut_connections_are_made_anew(database: Database, books: Books) -> None:
    feed = Channel()
    async with running(database, feed, (SHELF, RUNS)):
        for _ in range(4):
            feed.give(books.add(*everything()))
            with psycopg.connect(database.url, autocommit=True) as owner:
                owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE usename = 'comfyplus_project' AND datname = current_database()"
                )
            feed.give(books.add(*run(ANN)))
            await at_position(database, "run_status", len(books.events))
            await at_position(database, "workflow_shelf", len(books.events))
    await rebuilt_is_the_same(database, RUNS)
    await rebuilt_is_the_same(database, SHELF)


async def test_two_runners_are_harmless(database: Database, books: Books) -> None:
    one, two = Channel(), Channel()
    async with running(database, one) as first, running(database, two):
        for number in range(20):
            events = books.add(*run(ANN), *workflow(ANN, "x", public=True))
            one.give(events)
            two.give(events)
            if number == 10:
                await stop(first)
        for name in PROJECTIONS:
            await at_position(database, name, len(books.events))
    for projection in ALL:
        await rebuilt_is_the_same(database, projection)


def poisoned(projection: Projection, name: str) -> Projection:
    """A program with a fault: it cannot take a certain event."""

    def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
        projection.fold(recorded, buffer)
        if isinstance(recorded.event, WorkflowRenamed) and recorded.event.name == name:
            raise ZeroDivisionError("a fault")

    return replace(projection, fold=fold)


async def test_poison_parks_one_read_model_and_the_others_go_on(
    database: Database, books: Books, caplog: pytest.LogCaptureFixture
) -> None:
    feed = Channel()
    bad, good = WorkflowRenamed(name="bad"), WorkflowRenamed(name="good")
    first, second = workflow(ANN, "first"), workflow(ANN, "second")
    async with running(database, feed, (poisoned(SHELF, "bad"), PROJECTIONS["gallery"])):
        await at_position(database, "workflow_shelf", 0)
        feed.give(books.add(*first, (second[0][0], ANN, bad), *second, (first[0][0], ANN, good)))
        await at_position(database, "gallery", len(books.events))

        async def parked() -> bool:
            return checkpoint(database, "workflow_shelf") == (3, 4, 1, SHELF.version)

        await eventually(parked)
    assert [row[2] for row in stored(database, SHELF)["workflows"]] == ["first é \\ 2"]
    assert "read model parked" in caplog.text
    async with running(database, Channel(), (SHELF,)):  # the fault is mended
        await at_position(database, "workflow_shelf", len(books.events))
    assert checkpoint(database, "workflow_shelf") == (len(books.events), None, 1, SHELF.version)
    await rebuilt_is_the_same(database, SHELF)


async def test_an_unreadable_event_parks_only_those_who_want_it(database: Database, books: Books) -> None:
    books.add(*run(ANN))
    books.add_unreadable()
    books.add(*run(ANN))
    async with running(database, Channel(), (RUNS, PROJECTIONS["audit_trail"])):
        await at_position(database, "run_status", 19)

        async def parked() -> bool:
            found = checkpoint(database, "audit_trail")
            return found is not None and found[:2] == (9, 10)

        await eventually(parked)
    assert len(stored(database, PROJECTIONS["audit_trail"])["audit_trail"]) == 9


async def test_what_postgres_does_not_take_is_poison_too(database: Database, books: Books) -> None:
    books.add(*run(ANN))
    id = uuid4()
    books.add((id, ANN, submitted(ANN)), (id, ANN, RunStarted(epoch=1, backend="nul \0 byte")), *run(ANN))
    async with running(database, Channel(), (RUNS,)):

        async def parked() -> bool:
            found = checkpoint(database, "run_status")
            return found is not None and found[:2] == (10, 11)

        await eventually(parked)


async def test_a_writer_that_stepped_back_leaves_its_connection_fit_for_the_next(
    database: Database, books: Books
) -> None:
    """What was to be prepared in a pipeline that failed was not, and must not be counted on."""
    books.add(*everything())
    await rebuild(RUNS, connecting(database))
    before = len(stored(database, RUNS)["runs"])
    async with await connecting(database)() as connection:
        await prepare(connection)
        for _ in range(8):
            stale = await generations.live(connection, "run_status")
            assert stale is not None
            events = books.add(joined(ANN, "ann"), *run(ANN))
            end = events[-1].position
            await generations.move(connection, stale, stale.position, Position(stale.position + 1))
            with pytest.raises(SteppedBackError):
                await Writer(RUNS, stale, connection).apply(events, end)
            live = await generations.live(connection, "run_status")
            assert live is not None
            await Writer(RUNS, live, connection).apply(events, end)
    assert len(stored(database, RUNS)["runs"]) == before + 8


async def test_a_newer_version_is_built_beside_and_takes_over(database: Database, books: Books) -> None:
    books.add(*everything())
    async with running(database, Channel(), (SHELF,)):
        await at_position(database, "workflow_shelf", len(books.events))
    newer = replace(SHELF, version=SHELF.version + 1)
    async with running(database, Channel(), (newer,)):

        async def taken_over() -> bool:
            return (checkpoint(database, "workflow_shelf") or ())[3:] == (SHELF.version + 1,)

        await eventually(taken_over)
        books.add(*workflow(ANN, "later"))
        await at_position(database, "workflow_shelf", len(books.events))
    async with running(database, Channel(), (SHELF, RUNS)):  # an older program leaves it alone
        await at_position(database, "run_status", len(books.events))
    assert (checkpoint(database, "workflow_shelf") or ())[3:] == (SHELF.version + 1,)


async def test_an_erasure_takes_along_what_was_kept_to_go_back_to(database: Database, books: Books) -> None:
    books.add(*everything())
    gallery = PROJECTIONS["gallery"]
    for projection in (gallery, gallery, RUNS, RUNS):
        await rebuild(projection, connecting(database))

    async def kept() -> set[str]:
        async with await psycopg.AsyncConnection.connect(database.url) as owner:
            rows = await owner.execute("SELECT name FROM work.projections WHERE state = 'retired'")
            return {name for (name,) in await rows.fetchall()}

    assert await kept() == {"gallery", "run_status"}
    async with running(database, Channel(), (gallery, RUNS)):
        books.add((ANN, ANN, AccountErased()))
        await at_position(database, "run_status", len(books.events))

        async def forgotten() -> bool:
            return await kept() == {"run_status"}

        await eventually(forgotten)


async def test_one_reads_ones_own_write(database: Database, books: Books) -> None:
    feed = Channel()
    positions = Positions(connecting(database, "comfyplus_query"))
    listening = asyncio.create_task(positions.run())
    async with running(database, feed):
        await at_position(database, "gallery", 0)
        for _ in range(5):
            events = books.add(*workflow(ANN, "mine"), *run(ANN))
            feed.give(events)
            assert await positions.reach(PROJECTIONS, events[-1].position, 10)
            assert (checkpoint(database, "gallery") or (0,))[0] >= events[-1].position
        assert not await positions.reach(["gallery"], events[-1].position + 1, 0.05)  # type: ignore[arg-type]
    await stop(listening)
