"""An event that is left out by decision is left out by every build, and none does so in silence."""

import asyncio
from uuid import UUID, uuid4

import psycopg
import pytest
from msgspec.structs import replace

from domain.event import AnyRecorded
from domain.ids import Position, projection_id
from domain.projection import ProjectionEventSkipped, ProjectionSkipWithdrawn
from domain.workflow import WorkflowRenamed
from projections import generations, jobs, operating
from projections.jobs import Kind
from projections.projection import Buffer, Projection
from projections.rebuild import holding, rebuild
from projections.rollback import NotKeptError, roll_back
from projections.skips import skipped
from tests.projections.ground import (
    PROJECTIONS,
    Books,
    Channel,
    at_position,
    checkpoint,
    connecting,
    eventually,
    running,
    stored,
)
from tests.projections.stories import ANN, run, workflow
from tests.projections.test_jobs import asked, connected, over, rebuilding
from tests.servers import Database

SHELF, TRAIL = PROJECTIONS["workflow_shelf"], PROJECTIONS["audit_trail"]
Told = tuple[UUID, None, ProjectionEventSkipped | ProjectionSkipWithdrawn]


def skip(name: str, position: int) -> Told:
    event = ProjectionEventSkipped(projection=name, position=Position(position), reason="A leftover.")
    return projection_id(name), None, event


def withdrawn(name: str, position: int) -> Told:
    event = ProjectionSkipWithdrawn(projection=name, position=Position(position), reason="Mended.")
    return projection_id(name), None, event


def poisoned(projection: Projection, name: str) -> Projection:
    def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
        projection.fold(recorded, buffer)
        if isinstance(recorded.event, WorkflowRenamed) and recorded.event.name == name:
            raise ZeroDivisionError("a fault")

    return replace(projection, fold=fold)


async def tell(database: Database, name: str) -> None:
    async with connected(database) as connection:
        await jobs.tell(connection, name)


async def parked_at(database: Database, name: str, position: int) -> None:
    async def parked() -> bool:
        found = checkpoint(database, name)
        return found is not None and found[1] == position

    await eventually(parked)


def left_out(database: Database, name: str) -> list[int]:
    with psycopg.connect(database.url) as connection:
        row = connection.execute(
            "SELECT skipped FROM work.projections WHERE name = %s AND state = 'live'", (name,)
        ).fetchone()
    assert row is not None
    return list(row[0])


async def test_a_parked_read_model_goes_on_without_the_event(database: Database, books: Books) -> None:
    first = workflow(ANN, "first")
    bad = (first[0][0], ANN, WorkflowRenamed(name="bad"))
    broken = poisoned(SHELF, "bad")
    books.add(*first, bad, *workflow(ANN, "second"))
    async with running(database, Channel(), (broken,)):
        await parked_at(database, "workflow_shelf", 4)
        async with connected(database) as connection:
            (event,) = await operating.parked(connection)
            assert (event.position, event.rebuild, event.topic) == (4, False, "workflow.renamed.v1")
            assert "a fault" in event.reason
        books.add(skip("workflow_shelf", 4))
        await tell(database, "workflow_shelf")
        await at_position(database, "workflow_shelf", len(books.events))
        async with connected(database) as connection:
            assert await operating.parked(connection) == []
    assert (checkpoint(database, "workflow_shelf") or ())[:3] == (len(books.events), None, 1)
    assert left_out(database, "workflow_shelf") == [4]
    followed = stored(database, SHELF)
    assert {row[2] for row in followed["workflows"]} == {"first é \\ 2", "second é \\ 2"}
    for bulk in (True, False):  # every later build leaves it out too, mended or not
        await rebuild(SHELF, connecting(database), bulk=bulk)
        assert stored(database, SHELF) == followed
        await rebuild(broken, connecting(database), bulk=bulk)
        assert stored(database, SHELF) == followed
        assert left_out(database, "workflow_shelf") == [4]


async def test_what_nobody_can_read_is_left_out_too(database: Database, books: Books) -> None:
    books.add(*run(ANN))
    books.add_unreadable()
    books.add(*run(ANN))
    async with running(database, Channel(), (TRAIL,)):
        await parked_at(database, "audit_trail", 10)
        async with connected(database) as connection:
            (event,) = await operating.parked(connection)
        assert (event.topic, event.stored) == ("tomorrow.invented.v1", b'{"topic":"tomorrow.invented.v1"}')
        books.add(skip("audit_trail", 10))
        await tell(database, "audit_trail")
        await at_position(database, "audit_trail", 20)
    followed = stored(database, TRAIL)
    assert [row[0] for row in followed["audit_trail"]] == [*range(1, 10), *range(11, 21)]
    for bulk in (True, False):
        await rebuild(TRAIL, connecting(database), bulk=bulk)
        assert stored(database, TRAIL) == followed


async def test_without_a_decision_nothing_is_left_out(database: Database, books: Books) -> None:
    books.add(skip("audit_trail", 2), *workflow(ANN, "a"))
    await rebuild(SHELF, connecting(database))
    assert left_out(database, "workflow_shelf") == []
    assert len(stored(database, SHELF)["workflows"]) == 1
    await rebuild(TRAIL, connecting(database))
    assert left_out(database, "audit_trail") == [2]
    async with connected(database) as connection:
        assert await skipped(connection, "audit_trail") == {2}
        assert await skipped(connection, "gallery") == frozenset()


async def test_the_next_look_comes_when_it_is_asked_for(database: Database, books: Books) -> None:
    broken = True

    def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
        if broken and isinstance(recorded.event, WorkflowRenamed):
            raise ZeroDivisionError("a fault")
        SHELF.fold(recorded, buffer)

    books.add(*workflow(ANN, "a"))
    async with running(database, Channel(), (replace(SHELF, fold=fold),)):
        await parked_at(database, "workflow_shelf", 3)
        broken = False
        async with asyncio.timeout(8):  # by itself it looks again after ten seconds
            while (checkpoint(database, "workflow_shelf") or (0,))[0] < 3:
                await tell(database, "gallery")
                await tell(database, "workflow_shelf")
                await asyncio.sleep(0.05)
    assert (checkpoint(database, "workflow_shelf") or ())[:2] == (3, None)


async def test_a_build_that_took_it_in_does_not_stay(database: Database, books: Books) -> None:
    """The decision counts, whoever was faster: the read model is as every later build will be."""
    told = workflow(ANN, "a")
    books.add(*told)
    await rebuild(SHELF, connecting(database))
    books.add(skip("workflow_shelf", 3))
    async with running(database, Channel(), (SHELF,)):

        async def anew() -> bool:
            return (checkpoint(database, "workflow_shelf") or (0, 0, 0))[2] > 1

        await eventually(anew)
        await at_position(database, "workflow_shelf", 4)
    assert left_out(database, "workflow_shelf") == [3]
    assert [row[2] for row in stored(database, SHELF)["workflows"]] == ["a"]


async def test_what_was_left_out_comes_in_again_when_the_decision_is_withdrawn(
    database: Database, books: Books
) -> None:
    books.add(*workflow(ANN, "a"), skip("workflow_shelf", 3))
    async with running(database, Channel(), (SHELF,)):
        await at_position(database, "workflow_shelf", 4)
    assert [row[2] for row in stored(database, SHELF)["workflows"]] == ["a"]
    books.add(withdrawn("workflow_shelf", 3))
    async with running(database, Channel(), (SHELF,)):
        await at_position(database, "workflow_shelf", 5)

        async def whole() -> bool:
            return [row[2] for row in stored(database, SHELF)["workflows"]] == ["a é \\ 2"]

        await eventually(whole)
    assert left_out(database, "workflow_shelf") == []


async def test_a_build_of_before_the_decision_is_no_way_back(database: Database, books: Books) -> None:
    connect = connecting(database)
    books.add(*workflow(ANN, "a"))
    await rebuild(SHELF, connect)
    books.add(skip("workflow_shelf", 3))
    await rebuild(SHELF, connect)
    async with holding("workflow_shelf", connect) as held:
        with pytest.raises(NotKeptError, match="rebuild it instead"):
            await roll_back(SHELF, held, connect)
        kept = await generations.kept(held, "workflow_shelf")
    assert kept is not None
    assert kept.state == "retired"


async def test_a_newer_version_that_is_held_up_says_so_and_the_older_one_stays(
    database: Database, books: Books
) -> None:
    id = uuid4()
    books.add(*workflow(ANN, "a"))
    async with running(database, Channel(), (SHELF,)):
        await at_position(database, "workflow_shelf", 3)
    before = stored(database, SHELF)
    newer = poisoned(replace(SHELF, version=SHELF.version + 1), "a é \\ 2")
    async with running(database, Channel(), (newer,)):
        await parked_at(database, "workflow_shelf", 3)
        books.add((id, ANN, workflow(ANN, "b")[0][2]))
        assert (checkpoint(database, "workflow_shelf") or ())[2:] == (1, SHELF.version)
        assert stored(database, SHELF) == before
        async with connected(database) as connection:
            assert [each.position for each in await operating.parked(connection)] == [3]
        books.add(skip("workflow_shelf", 3))
        await tell(database, "workflow_shelf")
        await at_position(database, "workflow_shelf", len(books.events))
    assert (checkpoint(database, "workflow_shelf") or ())[3] == SHELF.version + 1


async def test_decided_while_a_rebuild_runs_it_counts_for_that_one_too(
    database: Database, books: Books
) -> None:
    books.add(*workflow(ANN, "a"))
    gate, begun = asyncio.Event(), asyncio.Event()

    async def opened(events: list[AnyRecorded]) -> list[AnyRecorded]:
        begun.set()
        await gate.wait()
        return events

    late = replace(SHELF, personal=True, open=opened)
    async with rebuilding(database, {"workflow_shelf": late}):
        job = await asked(database, "workflow_shelf", Kind.REBUILD)
        await begun.wait()
        books.add(skip("workflow_shelf", 3))
        gate.set()
        failed = await over(database, job)
        assert failed.state == "failed"
        assert failed.fault is not None
        assert "begin again" in failed.fault
        again = await over(database, await asked(database, "workflow_shelf", Kind.REBUILD))
        assert again.state == "done"
    assert left_out(database, "workflow_shelf") == [3]
