"""Keys and indexes are made behind the rows, and all of them are there when a build is read."""

import asyncio
from itertools import pairwise

import psycopg
import pytest
from psycopg import errors

from domain.ids import Position
from projections import generations
from projections.indexes import Index, Script, make, make_lacking, script
from projections.rebuild import rebuild
from projections.tables import prepare
from tests.projections.ground import ALL, PROJECTIONS, Books, connecting
from tests.projections.stories import everything
from tests.servers import Database

RUN_STATUS = PROJECTIONS["run_status"]


def indexes(database: Database, schema: str) -> dict[str, str]:
    """Name and definition of each."""
    with psycopg.connect(database.url) as owner:
        rows = owner.execute("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = %s", (schema,))
        return {name: definition.replace(f"{schema}.", "") for name, definition in rows.fetchall()}


@pytest.mark.parametrize("projection", ALL, ids=lambda projection: projection.name)
def test_each_table_has_its_key_and_nothing_is_overlooked(projection: generations.Projection) -> None:
    said = script(projection.sql)
    assert {key.table for key in said.keys} == {table.name for table in projection.tables}
    text = projection.sql.read_text()
    assert (len(said.keys), len(said.indexes)) == (text.count("PRIMARY KEY"), text.count(" INDEX "))
    assert "INDEX" not in said.policies
    assert said.policies.count("CREATE POLICY") == text.count("CREATE POLICY")
    assert "PRIMARY KEY" not in said.tables + said.policies


@pytest.mark.parametrize("name", PROJECTIONS)
async def test_however_a_build_was_made_it_has_the_same_indexes(
    database: Database, books: Books, name: str
) -> None:
    books.add(*everything())
    ways = [
        (await rebuild(PROJECTIONS[name], connecting(database), bulk=bulk)).generation
        for bulk in (True, False)
    ]
    async with await connecting(database)() as connection:
        begun = await generations.begin(connection, PROJECTIONS[name])
        made = await generations.complete(connection, PROJECTIONS[name], begun, Position(0))
    found = [indexes(database, f"{name}_g{generation}") for generation in (*ways, made.generation)]
    assert found[0]
    assert all(one == other for one, other in pairwise(found))


async def test_a_build_that_is_gone_on_with_gets_what_it_lacks(database: Database, books: Books) -> None:
    connect, said = connecting(database), script(RUN_STATUS.sql)
    async with await connect() as connection:
        await prepare(connection)
        made = await generations.begin(connection, RUN_STATUS)
        made = await generations.complete(connection, RUN_STATUS, made, Position(0), indexed=False)
        assert set(indexes(database, made.schema)) == {key.name for key in said.keys}
        await make(connection, made.schema, [each for each in said.indexes if each.table == "runs"])
        await make_lacking(connection, connect, made.schema, said)
        await make_lacking(connection, connect, made.schema, said)
    assert set(indexes(database, made.schema)) == {each.name for each in (*said.keys, *said.indexes)}


async def test_who_died_making_an_index_is_waited_for(database: Database, books: Books) -> None:
    connect, said = connecting(database), script(RUN_STATUS.sql)
    of_runs = [each for each in (*said.keys, *said.indexes) if each.table == "runs"]
    async with await connect() as connection, await connect() as dying:
        made = await generations.begin(connection, RUN_STATUS)
        async with dying.transaction(force_rollback=True):
            await make(dying, made.schema, of_runs)
            late = asyncio.create_task(make(connection, made.schema, of_runs))
            done, _ = await asyncio.wait((late,), timeout=0.2)
            assert not done
        await late
    assert set(indexes(database, made.schema)) == {each.name for each in of_runs}


async def test_what_postgres_refuses_is_said(database: Database, books: Books) -> None:
    async with await connecting(database)() as connection:
        made = await generations.begin(connection, RUN_STATUS)
        wrong = Index("runs", "wrong", "CREATE INDEX wrong ON runs (nothing);")
        said = Script("", [], [wrong], "")
        with pytest.raises(errors.UndefinedColumn):
            await make_lacking(connection, connecting(database), made.schema, said)
    assert "wrong" not in indexes(database, made.schema)
