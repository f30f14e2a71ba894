"""Rebuilds that are asked for: done, followed, cancelled, taken up again, and led back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
import pytest
from msgspec.structs import replace
from psycopg import AsyncConnection

from domain.event import AnyRecorded
from domain.ids import WorkflowId
from domain.workflow import WorkflowRenamed, WorkflowVersionSaved
from projections import jobs, operating, overtaking
from projections import rebuild as rebuilds
from projections.jobs import Job, JobState, Kind, OpenJobError, Request, RequestReusedError
from projections.overtaking import Progress
from projections.projection import Buffer, Projection
from projections.reading import Reader
from projections.rebuild import BusyError, holding, rebuild
from projections.rebuilding import Rebuilding, perform
from projections.rollback import NotKeptError, roll_back
from projections.workflow_shelf import workflow
from tests.projections.ground import (
    PROJECTIONS,
    Books,
    Channel,
    at_position,
    checkpoint,
    connecting,
    eventually,
    reading,
    running,
    stop,
    stored,
)
from tests.projections.stories import ANN, GRAPH, everything, run
from tests.projections.stories import workflow as workflow_story
from tests.servers import Database

SHELF, RUNS = PROJECTIONS["workflow_shelf"], PROJECTIONS["run_status"]


@asynccontextmanager
async def connected(database: Database, role: str = "comfyplus_app") -> AsyncIterator[AsyncConnection[Any]]:
    async with await connecting(database, role)() as connection:
        yield connection


@asynccontextmanager
async def rebuilding(
    database: Database, models: dict[str, Projection] = PROJECTIONS, *, grace_s: float = 3600
) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(Rebuilding(models, connecting(database), grace_s=grace_s).run())
    try:
        yield task
    finally:
        await stop(task)


async def asked(database: Database, name: str, kind: Kind = Kind.REBUILD) -> Job:
    async with connected(database) as connection:
        return await jobs.ask(connection, name, kind, "ann")


async def over(database: Database, job: Job) -> Job:
    """As it ended."""
    async with connected(database) as connection:
        found = job

        async def ended() -> bool:
            nonlocal found
            looked_up = await jobs.job(connection, job.id)
            assert looked_up is not None
            found = looked_up
            return found.state not in (JobState.ASKED, JobState.RUNNING)

        await eventually(ended, 60)
        return found


def builds(database: Database, name: str) -> list[tuple[int, str]]:
    """As written down; every schema is one of them."""
    with psycopg.connect(database.url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ  # both as of one moment
        rows = connection.execute(
            "SELECT generation, state FROM work.projections WHERE name = %s ORDER BY generation", (name,)
        ).fetchall()
        schemas = connection.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE %s ORDER BY 1", (f"{name}\\_g%",)
        ).fetchall()
    assert {schema for (schema,) in schemas} == {f"{name}_g{generation}" for generation, _ in rows}
    return [(generation, state) for generation, state in rows]


def in_small_steps(monkeypatch: pytest.MonkeyPatch, bulk_rows: int = 1) -> None:
    monkeypatch.setattr(rebuilds, "BULK_PAGE", 20)
    monkeypatch.setattr(rebuilds, "MEMORY_ROWS", bulk_rows)
    monkeypatch.setattr(overtaking, "BATCH", 20)


async def test_what_is_asked_for_is_done_and_written_down(database: Database, books: Books) -> None:
    books.add(*everything())
    await rebuild(SHELF, connecting(database))
    before = stored(database, SHELF)
    job = await asked(database, "workflow_shelf")
    assert (job.state, job.asked_by, job.ended_at) == ("asked", "ann", None)
    async with rebuilding(database):
        done = await over(database, job)
    assert (done.state, done.generation, done.fault) == ("done", 2, None)
    assert (done.done, done.total) == (len(books.events), len(books.events))
    assert done.events_s > 0
    assert done.started_at is not None
    assert done.ended_at is not None
    assert stored(database, SHELF) == before
    assert builds(database, "workflow_shelf") == [(1, "retired"), (2, "live")]


async def test_one_job_at_a_time_for_each_read_model(database: Database, books: Books) -> None:
    first = await asked(database, "gallery")
    with pytest.raises(OpenJobError, match=str(first.id)):
        await asked(database, "gallery", Kind.ROLLBACK)
    await asked(database, "run_status")
    async with connected(database) as connection:
        assert [job.name for job in await jobs.open_jobs(connection)] == ["gallery", "run_status"]


async def test_one_request_makes_one_job(database: Database, books: Books) -> None:
    request = Request(uuid4(), b"one")
    async with connected(database) as connection:
        first = await jobs.ask(connection, "gallery", Kind.REBUILD, "ann", request)
        assert await jobs.ask(connection, "gallery", Kind.REBUILD, "ann", request) == first
        await jobs.cancel(connection, first.id)
        again = await jobs.ask(connection, "gallery", Kind.REBUILD, "ann", request)
        assert (again.id, again.state) == (first.id, "cancelled")
        with pytest.raises(RequestReusedError):
            await jobs.ask(connection, "gallery", Kind.REBUILD, "ann", Request(request.id, b"other"))
        assert len(await jobs.recent(connection, 10)) == 1


async def test_a_job_that_nobody_began_is_cancelled_at_once(database: Database, books: Books) -> None:
    job = await asked(database, "gallery")
    async with connected(database) as connection:
        cancelled = await jobs.cancel(connection, job.id)
        assert cancelled is not None
        assert cancelled.state == "cancelled"
        assert await jobs.cancel(connection, job.id) is None
    async with rebuilding(database):
        await over(database, await asked(database, "run_status"))
    assert builds(database, "gallery") == []


def slow(projection: Projection, gate: asyncio.Event) -> Projection:
    """Its events are opened only while the gate is open."""

    async def opened(events: Any) -> Any:
        await gate.wait()
        return events

    return replace(projection, personal=True, open=opened)


@pytest.mark.parametrize("bulk_rows", [1, 10**6])
async def test_a_job_under_way_is_cancelled_and_leaves_nothing(
    database: Database, books: Books, monkeypatch: pytest.MonkeyPatch, bulk_rows: int
) -> None:
    in_small_steps(monkeypatch, bulk_rows)
    books.add(*(each for _ in range(20) for each in run(ANN)))
    await rebuild(RUNS, connecting(database))
    gate = asyncio.Event()
    async with rebuilding(database, {"run_status": slow(RUNS, gate)}), connected(database) as connection:
        job = await asked(database, "run_status")

        async def under_way() -> bool:
            found = await jobs.job(connection, job.id)
            return found is not None and found.state == "running"

        await eventually(under_way)
        cancelling = await jobs.cancel(connection, job.id)
        assert cancelling is not None
        assert (cancelling.state, cancelling.cancelling) == ("running", True)
        assert (await over(database, job)).state == "cancelled"
    assert builds(database, "run_status") == [(1, "live")]


async def test_stopped_amid_its_batches_it_goes_on_from_its_checkpoint(
    database: Database, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_small_steps(monkeypatch)
    books.add(*(each for _ in range(40) for each in run(ANN)))
    await rebuild(RUNS, connecting(database))
    before, job = stored(database, RUNS), await asked(database, "run_status")
    told: list[Progress] = []
    far = asyncio.Event()

    def tell(progress: Progress) -> None:
        told.append(progress)
        if progress.done > 100:
            far.set()

    monkeypatch.setattr(overtaking.Meter, "tell", lambda self, done: tell(Progress(done, done, 0, 0)))
    async with holding("run_status", connecting(database)) as held:
        working = asyncio.create_task(perform(job, RUNS, held, connecting(database)))
        await far.wait()
        await stop(working)
    assert builds(database, "run_status") == [(1, "live"), (2, "building")]
    reached, told[:] = told[-1].done, []
    async with rebuilding(database):
        done = await over(database, job)
    assert (done.state, done.generation) == ("done", 2)
    assert told[0].done > 100
    assert reached <= told[-1].done == len(books.events)
    assert stored(database, RUNS) == before
    assert builds(database, "run_status") == [(1, "retired"), (2, "live")]


async def test_stopped_in_bulk_it_begins_anew(
    database: Database, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_small_steps(monkeypatch, 10**6)
    books.add(*(each for _ in range(20) for each in run(ANN)))
    gate = asyncio.Event()
    job = await asked(database, "run_status")
    async with rebuilding(database, {"run_status": slow(RUNS, gate)}):

        async def begun() -> bool:
            return builds(database, "run_status") == [(1, "building")]

        await eventually(begun)
    async with rebuilding(database):
        assert (await over(database, job)).state == "done"
    assert [state for _, state in builds(database, "run_status")] == ["live"]
    assert len(stored(database, RUNS)["runs"]) == 20


async def test_who_holds_the_lock_is_not_disturbed(database: Database, books: Books) -> None:
    books.add(*everything())
    job = await asked(database, "gallery")
    async with holding("gallery", connecting(database)):
        with pytest.raises(BusyError):
            await rebuild(PROJECTIONS["gallery"], connecting(database))
        async with rebuilding(database), connected(database) as connection:
            await over(database, await asked(database, "run_status"))
            found = await jobs.job(connection, job.id)
            assert found is not None
            assert found.state == "asked"
    async with rebuilding(database):
        assert (await over(database, job)).state == "done"


async def test_rolled_back_readers_see_the_build_of_before_up_to_date(
    database: Database, books: Books
) -> None:
    feed = Channel()
    books.add(*everything())
    async with running(database, feed, (SHELF,)), rebuilding(database):
        await at_position(database, "workflow_shelf", len(books.events))
        await over(database, await asked(database, "workflow_shelf"))
        feed.give(books.add(*workflow_story(ANN, "since")))
        await at_position(database, "workflow_shelf", len(books.events))
        back = await over(database, await asked(database, "workflow_shelf", Kind.ROLLBACK))
        assert (back.state, back.generation) == ("done", 1)
        assert builds(database, "workflow_shelf") == [(1, "live"), (2, "retired")]
        feed.give(books.add(*workflow_story(ANN, "later")))
        await at_position(database, "workflow_shelf", len(books.events))
        forth = await over(database, await asked(database, "workflow_shelf", Kind.ROLLBACK))
        assert (forth.state, forth.generation) == ("done", 2)
    followed = stored(database, SHELF)
    await rebuild(SHELF, connecting(database))
    assert stored(database, SHELF) == followed


async def test_a_build_that_is_only_kept_is_read_by_nobody(database: Database, books: Books) -> None:
    books.add(*everything())
    connect = connecting(database)
    for _ in range(2):
        await rebuild(SHELF, connect)

    async def rows(generation: int) -> int:
        async with reading(database) as reader, reader.for_account(ANN) as cursor:
            await cursor.execute(f"SELECT count(*) FROM workflow_shelf_g{generation}.workflows".encode())
            return int((await cursor.fetchall())[0][0])

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await rows(1)
    assert await rows(2) == 3
    async with holding(SHELF.name, connect) as held:
        await roll_back(SHELF, held, connect)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await rows(2)
    assert await rows(1) == 3


async def test_there_is_not_always_a_way_back(database: Database, books: Books) -> None:
    books.add(*everything())
    connect = connecting(database)

    async def refused(projection: Projection, says: str) -> None:
        async with holding(projection.name, connect) as held:
            with pytest.raises(NotKeptError, match=says):
                await roll_back(projection, held, connect)

    await refused(SHELF, "is kept any more")
    await rebuild(SHELF, connect)
    await refused(SHELF, "is kept any more")
    newer = replace(SHELF, version=SHELF.version + 1)
    await rebuild(newer, connect)
    await refused(newer, "does not build")
    async with holding(SHELF.name, connect) as held:  # the older program may
        assert (await roll_back(SHELF, held, connect)).generation == 1
    await rebuild(SHELF, connect, grace_s=0)
    await rebuild(SHELF, connect, grace_s=0)
    assert [state for _, state in builds(database, "workflow_shelf")] == ["retired", "live"]
    async with rebuilding(database):
        await rebuild(SHELF, connect)
        failed = await over(database, await asked(database, "gallery", Kind.ROLLBACK))
        assert (failed.state, failed.fault) == ("failed", "No earlier build of gallery is kept any more.")


async def test_of_the_builds_replaced_the_last_is_kept(database: Database, books: Books) -> None:
    books.add(*everything())
    connect = connecting(database)
    for _ in range(3):
        await rebuild(SHELF, connect)
    with psycopg.connect(database.url, autocommit=True) as owner:
        owner.execute("UPDATE work.projections SET updated_at = updated_at - interval '2 minutes'")
    await rebuild(SHELF, connect)
    assert builds(database, "workflow_shelf") == [(2, "retired"), (3, "retired"), (4, "live")]
    with psycopg.connect(database.url, autocommit=True) as owner:
        owner.execute("UPDATE work.projections SET updated_at = updated_at - interval '2 hours'")
    await rebuild(SHELF, connect)
    assert builds(database, "workflow_shelf") == [(4, "retired"), (5, "live")]


async def test_led_back_and_forth_under_live_reads_nobody_goes_backward(
    database: Database, books: Books
) -> None:
    feed, id = Channel(), uuid4()
    (_, _, created), *_ = workflow_story(ANN, "mine")
    feed.give(books.add((id, ANN, created)))
    done, reads, written = asyncio.Event(), 0, 0

    async def write() -> None:
        nonlocal written
        while not done.is_set():
            written += 1
            saved = WorkflowVersionSaved(number=written, graph=GRAPH)
            feed.give(await asyncio.to_thread(books.add, (id, ANN, saved)))

    async def read(reader: Reader) -> None:
        nonlocal reads
        seen = 0
        while not done.is_set():
            async with reader.for_account(ANN) as cursor:
                found = msgspec.json.decode(
                    await workflow(cursor, WorkflowId(id)) or b"", type=dict[str, Any]
                )
            assert found["version"] >= seen
            seen, reads = found["version"], reads + 1

    async with running(database, feed, [SHELF]), reading(database) as reader, rebuilding(database):
        await at_position(database, "workflow_shelf", 1)
        async with asyncio.TaskGroup() as tasks:
            for each in (write(), read(reader), read(reader)):
                tasks.create_task(each)
            assert (await over(database, await asked(database, "workflow_shelf"))).state == "done"
            for _ in range(6):
                back = await over(database, await asked(database, "workflow_shelf", Kind.ROLLBACK))
                assert back.state == "done", back.fault
            done.set()
        await at_position(database, "workflow_shelf", len(books.events))
    assert reads > 20
    assert len(stored(database, SHELF)["workflow_versions"]) == written
    followed = stored(database, SHELF)
    await rebuild(SHELF, connecting(database))
    assert stored(database, SHELF) == followed


async def test_an_event_that_stops_a_rebuild_is_named(database: Database, books: Books) -> None:
    books.add(*workflow_story(ANN, "fine"))
    await rebuild(SHELF, connecting(database))

    def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
        if isinstance(recorded.event, WorkflowRenamed):
            raise ZeroDivisionError("a fault")
        SHELF.fold(recorded, buffer)

    bad = replace(SHELF, fold=fold)
    async with rebuilding(database, {"workflow_shelf": bad}):
        failed = await over(database, await asked(database, "workflow_shelf"))
    assert (failed.state, failed.parked_position) == ("failed", 3)
    assert failed.fault is not None
    assert "a fault" in failed.fault
    async with connected(database) as connection:
        (event,) = await operating.parked(connection)
        assert (event.projection, event.position, event.rebuild) == ("workflow_shelf", 3, True)
        assert event.topic == "workflow.renamed.v1"
        assert b"fine" in event.stored
        (shown,) = await operating.overview(connection, {"workflow_shelf": SHELF})
        assert shown.state == "live"
    assert builds(database, "workflow_shelf") == [(1, "live")]


async def test_the_overview_tells_how_each_read_model_is(database: Database, books: Books) -> None:
    books.add(*everything())
    await rebuild(SHELF, connecting(database))
    await rebuild(SHELF, connecting(database))
    await asked(database, "gallery")
    books.add(*run(ANN))
    for role in ("comfyplus_app", "comfyplus_project"):
        async with connected(database, role) as connection:
            found = {each.name: each for each in await operating.overview(connection, PROJECTIONS)}
        assert set(found) == set(PROJECTIONS)
        shelf, gallery = found["workflow_shelf"], found["gallery"]
        assert (shelf.state, shelf.version) == ("live", SHELF.version)
        assert shelf.live is not None
        assert (shelf.live.lag, shelf.live.position) == (9, len(books.events) - 9)
        assert shelf.live.size_bytes > 8192
        assert [(build.generation, build.state) for build in shelf.builds] == [(2, "live"), (1, "retired")]
        assert (gallery.state, gallery.live) == ("missing", None)
        assert gallery.job is not None
        assert gallery.job.state == "asked"
        newer = {"workflow_shelf": replace(SHELF, version=SHELF.version + 1)}
        async with connected(database, role) as connection:
            assert (await operating.overview(connection, newer))[0].state == "outdated"
    assert (checkpoint(database, "workflow_shelf") or ())[2] == 2
