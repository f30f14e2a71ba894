"""The keys and indexes of a build: made when its tables are filled, which takes half the time of keeping them up.

Tables are taken side by side. A table that is filled by upserts has its key before, and nothing else.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct
from psycopg import AsyncConnection

from projections.pages import Connect

ONCE_LOADED = "-- once loaded"
SIDE_BY_SIDE = 2  # tables: one for each core of a small machine

_KEY = re.compile(r"^ALTER TABLE (?P<table>\w+) ADD CONSTRAINT (?P<name>\w+) PRIMARY KEY\b.*?;$", re.M | re.S)
_INDEX = re.compile(r"^CREATE (?:UNIQUE )?INDEX (?P<name>\w+) ON (?P<table>\w+)\b.*?;$", re.M | re.S)
_THERE = b"SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'i'"


class Index(Struct, frozen=True):
    """A primary key or an index, and the statement that makes it."""

    table: str
    name: str
    statement: str


class Script(Struct, frozen=True):
    """What a read model's `.sql` says."""

    tables: str
    keys: Sequence[Index]
    indexes: Sequence[Index]
    policies: str


def script(sql: Path) -> Script:
    tables, _, loaded = sql.read_text().partition(ONCE_LOADED)
    keys, indexes = (
        [Index(found["table"], found["name"], found[0]) for found in kind.finditer(loaded)]
        for kind in (_KEY, _INDEX)
    )
    return Script(tables, keys, indexes, _INDEX.sub("", _KEY.sub("", loaded)))


async def make(connection: AsyncConnection[Any], schema: str, indexes: Sequence[Index]) -> None:
    """Make those of one table that are not there yet, and let Postgres know what the table holds: all or nothing.

    Whoever else makes them is waited for: who died may still be making the last.
    """
    table = f"{schema}.{indexes[0].table}"
    async with connection.transaction():
        await connection.execute(f"SET LOCAL search_path TO {schema}".encode())
        await connection.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE".encode())
        there = await _there(connection, schema)
        lacking = [index for index in indexes if index.name not in there]
        for index in lacking:
            await connection.execute(index.statement.encode())
        if lacking:
            await connection.execute(f"ANALYZE {table}".encode())


class Making:
    """Makes the indexes of tables over connections of its own, each table's as soon as one is free."""

    def __init__(
        self, schema: str, indexes: Sequence[Index], connections: Sequence[AsyncConnection[Any]]
    ) -> None:
        self._schema = schema
        self._indexes = indexes
        self._tasks: list[asyncio.Task[None]] = []
        self._free: asyncio.Queue[AsyncConnection[Any]] = asyncio.Queue()
        for connection in connections:
            self._free.put_nowait(connection)

    def begin(self, table: str) -> None:
        """Of a table that is filled."""
        if indexes := [index for index in self._indexes if index.table == table]:
            self._tasks.append(asyncio.create_task(self._make(indexes)))

    async def end(self) -> None:
        """Raises what Postgres says."""
        await asyncio.gather(*self._tasks)

    async def abandon(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _make(self, indexes: Sequence[Index]) -> None:
        connection = await self._free.get()
        await make(connection, self._schema, indexes)
        self._free.put_nowait(connection)


@asynccontextmanager
async def making(connect: Connect, schema: str, indexes: Sequence[Index]) -> AsyncIterator[Making]:
    """All that was begun inside is made at the end."""
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(await connect()) for _ in range(SIDE_BY_SIDE)]
        made = Making(schema, indexes, connections)
        try:
            yield made
            await made.end()
        finally:
            await made.abandon()


async def make_lacking(connection: AsyncConnection[Any], connect: Connect, schema: str, said: Script) -> None:
    """Make the keys and indexes that a build does not have yet."""
    there = await _there(connection, schema)
    lacking = [index for index in (*said.keys, *said.indexes) if index.name not in there]
    if not lacking:
        return
    async with making(connect, schema, lacking) as made:
        for table in dict.fromkeys(index.table for index in lacking):
            made.begin(table)


async def _there(connection: AsyncConnection[Any], schema: str) -> set[str]:
    rows = await (await connection.execute(_THERE, (schema,))).fetchall()
    return {name for (name,) in rows}
