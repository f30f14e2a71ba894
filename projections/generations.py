"""The builds of a read model: each in a schema of its own, one of them live behind the views in `read`."""

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import count
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from psycopg import AsyncConnection, AsyncRawCursor, errors

from domain.ids import Position
from projections.indexes import make, script
from projections.projection import Projection
from projections.tables import Statement, StoredTable

CHANNEL = "read_positions"
READER = "comfyplus_query"
READERS_S = 60.0  # after this no reader holds a build that was replaced any more

_COLUMNS = "name, generation, version, position, state, skipped"
_LIVE = f"SELECT {_COLUMNS} FROM work.projections WHERE name = %s AND state = 'live'".encode()
_BEGIN = f"""
INSERT INTO work.projections (name, generation, version, position, state)
SELECT %(name)s, coalesce(max(generation), 0) + 1, %(version)s, 0, 'building'
FROM work.projections WHERE name = %(name)s
RETURNING {_COLUMNS}
""".encode()
_BOTH = f"""
SELECT {_COLUMNS} FROM work.projections
WHERE name = %s AND state <> 'retired' ORDER BY generation FOR UPDATE
""".encode()
_UNFINISHED = f"""
SELECT {_COLUMNS} FROM work.projections
WHERE name = %s AND version = %s AND state = 'building' AND position > 0 ORDER BY position DESC LIMIT 1
""".encode()
_KEPT = f"""
SELECT {_COLUMNS} FROM work.projections
WHERE name = %s AND state IN ('retired', 'returning')
ORDER BY state = 'returning' DESC, updated_at DESC, generation DESC LIMIT 1
""".encode()
_RETURN = b"""
UPDATE work.projections SET state = 'returning', updated_at = now()
WHERE name = %s AND generation = %s AND state IN ('retired', 'returning')
"""
_SET_STATE = b"""
UPDATE work.projections SET state = %s, updated_at = now() WHERE name = %s AND generation = %s
"""
_MOVE = b"""
UPDATE work.projections SET position = %s, parked_position = NULL, parked_reason = NULL, updated_at = now(),
    skipped = skipped || %s::bigint[]
WHERE name = %s AND generation = %s AND position = %s AND state <> 'retired'
"""
_MOVE_ALL = b"""
WITH moved AS (
    UPDATE work.projections AS build
    SET position = move.upto, parked_position = NULL, parked_reason = NULL, updated_at = now()
    FROM unnest(%s::text[], %s::int[], %s::bigint[], %s::bigint[]) AS move (name, generation, position, upto)
    WHERE build.name = move.name AND build.generation = move.generation AND build.position = move.position
        AND build.state = 'live'
    RETURNING build.name, build.position
)
SELECT name, pg_notify(%s, concat(name, ':', position)) FROM moved
"""
_MOVED = b"moved AS (" + _MOVE + b"RETURNING position)"
_PARK = b"""
UPDATE work.projections SET parked_position = %s, parked_reason = %s, updated_at = now()
WHERE name = %s AND generation = %s AND position = %s
"""
# of the builds that were replaced the last is kept to go back to, the others for readers that still hold them
_LEFT_OVER = b"""
SELECT generation, state FROM (
    SELECT generation, state, updated_at, row_number() OVER (
        PARTITION BY state = 'building' ORDER BY updated_at DESC, generation DESC
    ) AS age
    FROM work.projections WHERE name = %(name)s AND state <> 'live'
) AS build
WHERE state = 'building' AND %(building)s AND generation <> %(keep)s
    OR (state = 'retired' OR state = 'returning' AND %(building)s) AND updated_at < now()
        - CASE WHEN age = 1 THEN %(grace_s)s ELSE least(%(grace_s)s, %(readers_s)s) END * interval '1 second'
"""
_FORGET = b"DELETE FROM work.projections WHERE name = %s AND generation = %s AND state = %s"


class Generation(Struct, frozen=True):
    """One build of a read model, as work.projections has it."""

    name: str
    generation: int
    version: int
    position: Position
    state: str
    skipped: Sequence[int] = ()

    def honours(self, skips: Collection[int]) -> bool:
        """Whether it has left out just those events that are to be left out, as far as it has come."""
        return set(self.skipped) == {position for position in skips if position <= self.position}

    @property
    def schema(self) -> str:
        return f"{self.name}_g{self.generation}"


class Move(Struct, frozen=True):
    """Of a live build's checkpoint, past events that do not concern it."""

    generation: Generation
    old: Position
    new: Position


async def live(connection: AsyncConnection[Any], name: str) -> Generation | None:
    row = await (await connection.execute(_LIVE, (name,))).fetchone()
    return None if row is None else Generation(*row)


async def unfinished(connection: AsyncConnection[Any], projection: Projection) -> Generation | None:
    """A build of this version that has a checkpoint and was abandoned. For who holds the builder's lock."""
    row = await (await connection.execute(_UNFINISHED, (projection.name, projection.version))).fetchone()
    return None if row is None else Generation(*row)


async def kept(connection: AsyncConnection[Any], name: str) -> Generation | None:
    """The build that the live one has replaced, while it is still there."""
    row = await (await connection.execute(_KEPT, (name,))).fetchone()
    return None if row is None else Generation(*row)


async def bring_back(connection: AsyncConnection[Any], generation: Generation) -> bool:
    """Let a replaced build be brought up to date. False: it has been dropped meanwhile."""
    cursor = await connection.execute(_RETURN, (generation.name, generation.generation))
    return cursor.rowcount == 1


async def retire(connection: AsyncConnection[Any], generation: Generation) -> None:
    """Leave it as it is after all."""
    await connection.execute(_SET_STATE, ("retired", generation.name, generation.generation))


async def begin(connection: AsyncConnection[Any], projection: Projection) -> Generation:
    """Make a new, empty generation: tables without keys and indexes."""
    async with connection.transaction():
        names = {"name": projection.name, "version": projection.version}
        row = await (await connection.execute(_BEGIN, names)).fetchone()
        assert row is not None  # an INSERT from an aggregate always gives one row
        made = Generation(*row)
        await connection.execute(f"CREATE SCHEMA {made.schema}".encode())
        await connection.execute(f"SET LOCAL search_path TO {made.schema}".encode())
        await connection.execute(script(projection.sql).tables.encode())
    return made


async def complete(
    connection: AsyncConnection[Any],
    projection: Projection,
    made: Generation,
    position: Position,
    skips: Collection[int] = (),
    *,
    indexed: bool = True,
) -> Generation:
    """Add what keys, indexes and policies a loaded generation lacks, and let it be read.

    `indexed=False`: it is gone on with in batches, and the indexes are made behind them.
    """
    said = script(projection.sql)
    for table in projection.tables:
        wanted = (*said.keys, *(said.indexes if indexed else ()))
        await make(connection, made.schema, [index for index in wanted if index.table == table.name])
    async with connection.transaction():
        await connection.execute(f"SET LOCAL search_path TO {made.schema}".encode())
        await connection.execute(said.policies.encode())
        for table in projection.tables:
            await connection.execute(f"ALTER TABLE {table.name} ENABLE ROW LEVEL SECURITY".encode())
        await connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {made.schema} TO {READER}".encode())
        left_out = sorted(each for each in skips if each <= position)
        await move(connection, made, made.position, position, left_out)
    return replace(made, position=position, skipped=left_out)


async def move(
    connection: AsyncConnection[Any],
    generation: Generation,
    old: Position,
    new: Position,
    left_out: Sequence[int] = (),
) -> Any:
    """Move the checkpoint. The cursor's rowcount is 0 when somebody else moved it, or replaced the build.

    `left_out`: the events on the way there that were passed without being taken in.
    """
    return await connection.execute(_MOVE, _moving(generation, old, new, left_out))


async def advance(
    cursor: AsyncRawCursor[Any],
    generation: Generation,
    old: Position,
    new: Position,
    left_out: Sequence[int] = (),
    changes: Sequence[Statement] = (),
) -> bool:
    """Move the checkpoint, change rows with it, and say so: one statement, one round trip.

    False, and nothing was done, when somebody else moved it, or replaced the build.
    """
    parameters = _moving(generation, old, new, left_out)
    for _, values in changes:
        parameters += values
    live = generation.state == "live"
    if live:
        parameters += [CHANNEL, f"{generation.name}:{new}"]
    await cursor.execute(_together(tuple(text for text, _ in changes), live), parameters, prepare=True)
    return cursor.rowcount == 1


async def move_all(connection: AsyncConnection[Any], moves: Sequence[Move]) -> set[str]:
    """Move checkpoints of different read models. The names of those that were moved: the others are elsewhere."""
    columns = [(each.generation.name, each.generation.generation, each.old, each.new) for each in moves]
    cursor = await connection.execute(_MOVE_ALL, (*map(list, zip(*columns, strict=True)), CHANNEL))
    return {name for name, _ in await cursor.fetchall()}


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
            await connection.execute(f"REVOKE USAGE ON SCHEMA {old.schema} FROM {READER}".encode())
        await connection.execute(_SET_STATE, ("live", new.name, new.generation))
        await connection.execute(f"GRANT USAGE ON SCHEMA {new.schema} TO {READER}".encode())
        for table in projection.tables:
            await _lead_view(connection, StoredTable(table, made.schema), made.schema)
    return True


async def drop_left_over(
    connection: AsyncConnection[Any], name: str, grace_s: float, *, building: bool, keep: int = 0
) -> None:
    """Drop builds that were replaced a while ago and, for who holds the builder's lock, those never finished.

    `keep`: the unfinished one that is to be gone on with.
    """
    choice = {
        "name": name,
        "grace_s": grace_s,
        "readers_s": READERS_S,
        "building": building,
        "keep": keep,
    }
    rows = await (await connection.execute(_LEFT_OVER, choice)).fetchall()
    for generation, state in rows:
        await drop(connection, name, generation, state)


async def drop(connection: AsyncConnection[Any], name: str, generation: int, state: str) -> None:
    """Drop a build that is still in that state. A reader that holds it makes this give up until the next time."""
    try:
        async with connection.transaction():
            await connection.execute(b"SET LOCAL lock_timeout = '200ms'")
            forgotten = await connection.execute(_FORGET, (name, generation, state))
            if forgotten.rowcount:
                await connection.execute(f"DROP SCHEMA IF EXISTS {name}_g{int(generation)} CASCADE".encode())
    except errors.LockNotAvailable:
        return


def _moving(generation: Generation, old: Position, new: Position, left_out: Sequence[int]) -> list[Any]:
    return [new, list(left_out), generation.name, generation.generation, old]


@lru_cache(maxsize=256)
def _together(changes: tuple[bytes, ...], live: bool) -> bytes:
    """Of a read model's tables seldom all change: Postgres prepares a statement for each choice of them."""
    parts = [_MOVED, *(b"change_%d AS (%s)" % each for each in enumerate(changes))]
    told = b"SELECT pg_notify(%s, %s) FROM moved" if live else b"SELECT FROM moved"
    numbers = count(1)
    return re.sub(rb"%s", lambda _: b"$%d" % next(numbers), b"WITH " + b", ".join(parts) + b" " + told)


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
