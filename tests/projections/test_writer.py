"""Batches that are stored while the next ones are folded end as batches that are taken in one after the other."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from domain.ids import Position
from domain.workflow import WorkflowDescribed
from projections import generations
from projections.projection import Undecodable
from projections.rebuild import rebuild
from projections.tables import prepare
from projections.writer import PoisonError, SteppedBackError, Writer
from tests.projections.ground import PROJECTIONS, Books, checkpoint, connecting, stored
from tests.projections.stories import ANN, everything, workflow
from tests.servers import Database


@asynccontextmanager
async def writing(database: Database, name: str) -> AsyncIterator[Writer]:
    """The writer of a live, empty build."""
    projection = PROJECTIONS[name]
    async with await connecting(database)() as connection:
        await prepare(connection)
        made = await generations.begin(connection, projection)
        made = await generations.complete(connection, projection, made, Position(0))
        assert await generations.swap(connection, projection, made)
        live = await generations.live(connection, name)
        assert live is not None
        yield Writer(projection, live, connection)


async def ahead(writer: Writer, books: Books, size: int) -> None:
    for start in range(0, len(books.events), size):
        batch = books.events[start : start + size]
        await writer.apply_ahead(batch, batch[-1].position)
    await writer.settle()


@pytest.mark.parametrize("name", PROJECTIONS)
async def test_the_rows_are_the_same(database: Database, books: Books, name: str) -> None:
    books.add(*everything())
    async with writing(database, name) as writer:
        await ahead(writer, books, 3)
        assert writer.position == len(books.events)
    taken_in = stored(database, PROJECTIONS[name])
    await rebuild(PROJECTIONS[name], connecting(database))
    assert stored(database, PROJECTIONS[name]) == taken_in
    assert all(taken_in.values())


@pytest.mark.parametrize("size", [1, 2, 3, 5, 40])
@pytest.mark.parametrize("place", [0, 4, 11])
async def test_an_event_that_postgres_does_not_take_is_found_though_others_were_folded_behind_it(
    database: Database, books: Books, size: int, place: int
) -> None:
    told = [each for number in range(4) for each in workflow(ANN, f"w{number}")]
    id = told[place // 3 * 3][0]
    told.insert(place // 3 * 3 + 1, (id, ANN, WorkflowDescribed(description="nul \0")))
    poison = place // 3 * 3 + 2
    books.add(*told)
    async with writing(database, "workflow_shelf") as writer:
        with pytest.raises(PoisonError) as raised:
            await ahead(writer, books, size)
        assert raised.value.position == poison
        assert writer.position == poison - 1
    assert (checkpoint(database, "workflow_shelf") or ())[0] == poison - 1
    assert len(stored(database, PROJECTIONS["workflow_shelf"])["workflows"]) == place // 3 + 1


async def test_an_event_that_the_fold_does_not_take_is_found_behind_some_that_are_being_stored(
    database: Database, books: Books
) -> None:
    books.add(*workflow(ANN, "one"))
    unreadable = replace(
        books.add_unreadable(), event=Undecodable(topic_name="workflow.renamed.v1", reason="what?")
    )
    async with writing(database, "workflow_shelf") as writer:
        await writer.apply_ahead(books.events[:2], Position(2))
        with pytest.raises(PoisonError) as raised:
            await writer.apply_ahead([books.events[2], unreadable], unreadable.position)
        assert (raised.value.position, writer.position) == (4, 3)
    ((_, _, name, *_),) = stored(database, PROJECTIONS["workflow_shelf"])["workflows"]
    assert name == "one é \\ 2"


async def test_who_was_overtaken_steps_back_and_has_written_nothing(database: Database, books: Books) -> None:
    books.add(*workflow(ANN, "one"), *workflow(ANN, "two"))
    async with writing(database, "workflow_shelf") as writer:
        await writer.apply_ahead(books.events[:2], Position(2))
        await writer.settle()
        async with await connecting(database)() as other:
            assert (await generations.move(other, writer.generation, Position(2), Position(3))).rowcount == 1
        await writer.apply_ahead(books.events[2:4], Position(4))
        with pytest.raises(SteppedBackError):
            await writer.apply_ahead(books.events[4:], Position(6))
    assert (checkpoint(database, "workflow_shelf") or ())[0] == 3
    assert len(stored(database, PROJECTIONS["workflow_shelf"])["workflows"]) == 1
