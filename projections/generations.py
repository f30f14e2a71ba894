"""The builds of a read model: each in a schema of its own, one of them live behind the views in `read`."""

from typing import Any

from msgspec import Struct
from psycopg import AsyncConnection, errors

from domain.ids import Position
from projections.projection import Projection
from projections.tables import StoredTable

READER = "comfyplus_query"
ONCE_LOADED = "-- once loaded"

_LIVE = b"""
SELECT name, generation, version, position, state FROM work.projections WHERE name = %s AND state = 'live'
"""
_BEGIN = b"""
INSERT INTO work.projections (name, generation, version, position, state)
SELECT %(name)s, coalesce(max(generation), 0) + 1, %(version)s, 0, 'building'
FROM work.projections WHERE name = %(name)s
RETURNING name, generation, version, position, state
"""
_BOTH = b"""
SELECT name, generation, version, position, state FROM work.projections
WHERE name = %s AND state <> 'retired' ORDER BY generation FOR UPDATE
"""
_SET_STATE = b"""
UPDATE work.projections SET state = %s, updated_at = now() WHERE name = %s AND generation = %s
"""
_MOVE = b"""
UPDATE work.projections
SET position = %s, parked_position = NULL, parked_reason = NULL, updated_at = now()
WHERE name = %s AND generation = %s AND position = %s AND state <> 'retired'
"""
# For a pipeline, in which nobody looks at a result before the end: the wrong position is an error.
_ADVANCE = b"WITH moved AS (" + _MOVE + b"RETURNING position) SELECT 1 / count(*) FROM moved"
_PARK = b"""
UPDATE work.projections SET parked_position = %s, parked_reason = %s, updated_at = now()
WHERE name = %s AND generation = %s AND position = %s
"""
_LEFT_OVER = b"""
SELECT generation FROM work.projections
WHERE name = %(name)s AND (
    state = 'building' AND %(building)s
    OR state = 'retired' AND updated_at < now() - %(grace_s)s * interval '1 second'
)
"""
_FORGET = b"DELETE FROM work.projections WHERE name = %s AND generation = %s"


class Generation(Struct, frozen=True):
    """One build of a read model, as work.projections has it."""

    name: str
    generation: int
    version: int
    position: Position
    state: str

    @property
    def schema(self) -> str:
        return f"{self.name}_g{self.generation}"


async def live(connection: AsyncConnection[Any], name: str) -> Generation | None:
    row = await (await connection.execute(_LIVE, (name,))).fetchone()
    return None if row is None else Generation(*row)


async def begin(connection: AsyncConnection[Any], projection: Projection) -> Generation:
    """Make a new, empty generation: tables without keys and indexes."""
    tables, _, _ = projection.sql.read_text().partition(ONCE_LOADED)
    async with connection.transaction():
        names = {"name": projection.name, "version": projection.version}
        row = await (await connection.execute(_BEGIN, names)).fetchone()
        assert row is not None  # an INSERT from an aggregate always gives one row
        made = Generation(*row)
        await connection.execute(f"CREATE SCHEMA {made.schema}".encode())
        await connection.execute(f"SET LOCAL search_path TO {made.schema}".encode())
        await connection.execute(tables.encode())
    return made


async def complete(
    connection: AsyncConnection[Any], projection: Projection, made: Generation, position: Position
) -> Generation:
    """Add keys, indexes and policies to a loaded generation, and let it be read."""
    _, _, rest = projection.sql.read_text().partition(ONCE_LOADED)
    async with connection.transaction():
        await connection.execute(f"SET LOCAL search_path TO {made.schema}".encode())
        await connection.execute(rest.encode())
        for table in projection.tables:
            await connection.execute(f"ALTER TABLE {table.name} ENABLE ROW LEVEL SECURITY".encode())
        await connection.execute(f"GRANT USAGE ON SCHEMA {made.schema} TO {READER}".encode())
        await connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {made.schema} TO {READER}".encode())
        await move(connection, made, made.position, position)
    for table in projection.tables:
        await connection.execute(f"ANALYZE {made.schema}.{table.name}".encode())
    return Generation(made.name, made.generation, made.version, position, made.state)


async def move(connection: AsyncConnection[Any], generation: Generation, old: Position, new: Position) -> Any:
    """Move the checkpoint. The cursor's rowcount is 0 when somebody else moved it, or replaced the build."""
    return await connection.execute(_MOVE, (new, generation.name, generation.generation, old))


async def advance(
    connection: AsyncConnection[Any], generation: Generation, old: Position, new: Position
) -> None:
    """Move the checkpoint. DivisionByZero, perhaps later, when somebody else moved it, or replaced the build."""
    await connection.execute(_ADVANCE, (new, generation.name, generation.generation, old))


async def park(
    connection: AsyncConnection[Any], generation: Generation, at: Position, poison: Position, reason: str
) -> None:
    """Note that the build stands still before an event it cannot take in."""
    await connection.execute(_PARK, (poison, reason, generation.name, generation.generation, at))


async def swap(connection: AsyncConnection[Any], projection: Projection, made: Generation) -> bool:
    """Lead the views to a new generation, if it is not behind the live one. Raises LockNotAvailable.

    Both checkpoints are locked, so that neither build moves meanwhile. The wait for the views' readers is
    kept below the deadlock timeout: it is the swap that gives up, never a reader.
    """
    async with connection.transaction():
        await connection.execute(b"SET LOCAL lock_timeout = '200ms'")
        rows = await (await connection.execute(_BOTH, (projection.name,))).fetchall()
        builds = [Generation(*row) for row in rows]
        new = next((build for build in builds if build.generation == made.generation), None)
        old = next((build for build in builds if build.state == "live"), None)
        if new is None or (old is not None and new.position < old.position):
            return False
        if old is not None:
            await connection.execute(_SET_STATE, ("retired", old.name, old.generation))
        await connection.execute(_SET_STATE, ("live", new.name, new.generation))
        for table in projection.tables:
            await _lead_view(connection, StoredTable(table, made.schema), made.schema)
    return True


async def drop_left_over(
    connection: AsyncConnection[Any], name: str, grace_s: float, *, building: bool
) -> None:
    """Drop builds that were replaced a while ago and, if nobody builds, those that were never finished."""
    choice = {"name": name, "grace_s": grace_s, "building": building}
    rows = await (await connection.execute(_LEFT_OVER, choice)).fetchall()
    for (generation,) in rows:
        await drop(connection, name, generation)


async def drop(connection: AsyncConnection[Any], name: str, generation: int) -> None:
    """A reader that still holds it makes this give up until the next time."""
    try:
        async with connection.transaction():
            await connection.execute(b"SET LOCAL lock_timeout = '200ms'")
            await connection.execute(f"DROP SCHEMA IF EXISTS {name}_g{int(generation)} CASCADE".encode())
            await connection.execute(_FORGET, (name, generation))
    except errors.LockNotAvailable:
        return


async def _lead_view(connection: AsyncConnection[Any], stored: StoredTable[Any], schema: str) -> None:
    name, columns = stored.table.name, ", ".join(stored.columns)
    definition = f"VIEW read.{name} WITH (security_invoker = true) AS SELECT {columns} FROM {schema}.{name}"
    try:
        async with connection.transaction():  # readers that wait for the view go on with the same one
            await connection.execute(f"CREATE OR REPLACE {definition}".encode())
    except errors.InvalidTableDefinition:  # its columns are others than before
        await connection.execute(f"DROP VIEW read.{name}".encode())
        await connection.execute(f"CREATE {definition}".encode())
    await connection.execute(f"GRANT SELECT ON read.{name} TO {READER}".encode())
