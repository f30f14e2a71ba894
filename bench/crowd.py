"""Read models as a crowd would have left them: rows put in by SQL, in builds that are completed and swapped in.

`crowd.sql` says what there is; a part of it begins with the name of its read model.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from msgspec.structs import replace
from psycopg import AsyncConnection

from domain.ids import AccountId
from projections import generations
from projections.generations import Generation
from projections.pages import Connect
from projections.projection import Projection
from projections.rebuild import holding

MANY, FEW, NEWCOMER = (AccountId(UUID(int=n)) for n in (1, 2, 5000))
"""Half of everything is the first one's, some twenty things are the second one's, nothing is the third one's."""

_TOOLS = b"""
CREATE FUNCTION pg_temp.id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
    RETURN lpad(to_hex(n), 32, '0')::uuid;
CREATE FUNCTION pg_temp.owner(n bigint, rows bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
    RETURN lpad(to_hex(CASE WHEN n % 2 = 0 THEN 1 WHEN n % (rows / 20 | 1) = 5 THEN 2 ELSE 10 + n % 1000 END),
        32, '0')::uuid;
SET maintenance_work_mem TO '256MB';
SET max_parallel_maintenance_workers TO 2;
"""
# of a column that crowd.sql says nothing of
_COLUMNS = b"""SELECT table_name, quote_ident(column_name), data_type FROM information_schema.columns
WHERE table_schema = %s AND is_nullable = 'NO'"""
_NOTHING = {
    "bigint": "0",
    "boolean": "false",
    "double precision": "0",
    "jsonb": "'[]'",
    "text": "''",
    "timestamp with time zone": "'epoch'",
    "uuid": "'00000000-0000-0000-0000-000000000000'",
}


async def settle(projection: Projection, connect: Connect, rows: int) -> None:
    """Put a build with so many rows in the place of the live one."""
    async with holding(projection.name, connect) as connection:
        made = await generations.begin(connection, projection)
        await _prepare(connection, made)
        if rows:
            await _fill(connection, made, rows)
        made = await generations.complete(connection, projection, made, made.position)
        for table in projection.tables:
            await connection.execute(f"VACUUM {made.schema}.{table.name}".encode())
        while not await generations.swap(connection, projection, made):
            made = await _as_far(connection, made)


async def join(projection: Projection, connect: Connect, rows: int) -> None:
    """Put so many rows into the live build, which is empty, and leave Postgres in the belief that it is."""
    async with holding(projection.name, connect) as connection:
        live = await generations.live(connection, projection.name)
        assert live is not None
        await _fill(connection, live, rows)


async def _as_far(connection: AsyncConnection[Any], made: Generation) -> Generation:
    """As the live build is; what happened meanwhile is left out."""
    live = await generations.live(connection, made.name)
    position = made.position if live is None else live.position
    await generations.move(connection, made, made.position, position)
    return replace(made, position=position)


async def _prepare(connection: AsyncConnection[Any], made: Generation) -> None:
    async with connection.transaction():
        await connection.execute(f"SET LOCAL search_path TO {made.schema}".encode())
        for table, column, kind in await (await connection.execute(_COLUMNS, (made.schema,))).fetchall():
            default = f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {_NOTHING[kind]}"
            await connection.execute(default.encode())


async def _fill(connection: AsyncConnection[Any], made: Generation, rows: int) -> None:
    await connection.execute(_TOOLS)
    async with connection.transaction():
        await connection.execute(f"SET LOCAL search_path TO {made.schema}".encode())
        await connection.execute(parts()[made.name].replace("%(rows)s", str(rows)).encode())


@cache
def parts() -> dict[str, str]:
    """The statements of each read model."""
    text = Path(__file__).with_suffix(".sql").read_text()
    named = re.split(r"^-- (\w+)$", text, flags=re.MULTILINE)[1:]
    return dict(zip(named[::2], named[1::2], strict=True))
