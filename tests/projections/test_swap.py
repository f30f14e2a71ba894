"""A swap under live reads: no read fails, none goes backward."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from msgspec.structs import replace

from domain.ids import WorkflowId
from domain.workflow import WorkflowVersionSaved
from projections.reading import Reader
from projections.rebuild import BusyError, rebuild
from projections.workflow_shelf import WORKFLOW_SHELF, workflow
from tests.projections.ground import (
    PROJECTIONS,
    Books,
    Channel,
    at_position,
    connecting,
    reading,
    running,
    stored,
)
from tests.projections.stories import ANN, GRAPH
from tests.projections.stories import workflow as workflow_story
from tests.servers import Database


async def test_live_reads_neither_fail_nor_go_backward(database: Database, books: Books) -> None:
    feed, id = Channel(), uuid4()
    (_, _, created), *_ = workflow_story(ANN, "mine")
    feed.give(books.add((id, ANN, created)))
    over, reads, written = asyncio.Event(), 0, 0

    async def write() -> None:
        nonlocal written
        while not over.is_set():
            written += 1
            saved = WorkflowVersionSaved(number=written, graph=GRAPH)
            feed.give(await asyncio.to_thread(books.add, (id, ANN, saved)))

    async def read(reader: Reader) -> None:
        nonlocal reads
        seen = 0
        while not over.is_set():
            async with reader.for_account(ANN) as cursor:
                found = msgspec.json.decode(
                    await workflow(cursor, WorkflowId(id)) or b"", type=dict[str, Any]
                )
            assert found["version"] >= seen
            seen, reads = found["version"], reads + 1

    async with running(database, feed, [WORKFLOW_SHELF]), reading(database) as reader:
        await at_position(database, "workflow_shelf", 1)
        async with asyncio.TaskGroup() as tasks:
            for each in (write(), read(reader), read(reader)):
                tasks.create_task(each)
            swaps = [(await rebuild(WORKFLOW_SHELF, connecting(database))).swap_s for _ in range(4)]
            over.set()
        await at_position(database, "workflow_shelf", len(books.events))
    assert reads > 20
    assert len(stored(database, WORKFLOW_SHELF)["workflow_versions"]) == written
    assert min(swaps) < 0.5


async def test_one_rebuild_at_a_time(database: Database, books: Books) -> None:
    books.add(*workflow_story(ANN, "mine"))
    with psycopg.connect(database.url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended('comfyplus rebuild gallery', 0))")
        with pytest.raises(BusyError):
            await rebuild(PROJECTIONS["gallery"], connecting(database))


async def test_tables_of_another_shape_can_take_over(database: Database, books: Books) -> None:
    books.add(*workflow_story(ANN, "mine"))
    await rebuild(WORKFLOW_SHELF, connecting(database))
    with psycopg.connect(database.url, autocommit=True) as owner:  # as if it had been other columns
        owner.execute("DROP VIEW read.workflows")
        owner.execute("CREATE VIEW read.workflows AS SELECT 1 AS one, 2 AS two")
        owner.execute("ALTER VIEW read.workflows OWNER TO comfyplus_project")
    await rebuild(
        replace(WORKFLOW_SHELF, version=WORKFLOW_SHELF.version + 1), connecting(database), grace_s=0
    )
    async with reading(database) as reader, reader.for_account(ANN) as cursor:
        assert await workflow(cursor, WorkflowId(UUID(int=1))) is None
