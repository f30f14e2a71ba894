"""Objects that are to be removed, in work.removals; the checkpoint moves with them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from commands.ports import LogUnavailableError
from domain.ids import Digest, Position
from services.ports.removing import Removal

POSITION = "SELECT position FROM work.checkpoints WHERE name = 'removing'"
MOVE = "UPDATE work.checkpoints SET position = greatest(position, %s) WHERE name = 'removing'"
NOTE = """
INSERT INTO work.removals (digest, position, due_at) SELECT d, p, %s FROM unnest(%s::text[], %s::bigint[]) AS n (d, p)
ON CONFLICT (digest) DO UPDATE SET position = EXCLUDED.position, due_at = EXCLUDED.due_at
"""
DUE = "SELECT digest, position FROM work.removals WHERE due_at <= %s ORDER BY due_at, digest LIMIT %s"
LATER = "UPDATE work.removals SET due_at = %s WHERE digest = ANY (%s)"
DONE = """
DELETE FROM work.removals AS r USING unnest(%s::text[], %s::bigint[]) AS done (digest, position)
WHERE r.digest = done.digest AND r.position = done.position
"""
LET_RENDITIONS_GO = """
WITH gone AS (DELETE FROM work.renditions WHERE made_at < %s RETURNING digest)
INSERT INTO work.removals (digest, position, due_at) SELECT DISTINCT digest, 0, %s::timestamptz FROM gone
ON CONFLICT (digest) DO NOTHING
"""


class PostgresRemovalLedger:
    """The RemovalLedger port."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def position(self) -> Position:
        async with self._connection() as connection:
            row = await (await connection.execute(POSITION)).fetchone()
        return Position(row[0] if row else 0)

    async def note(self, removals: Sequence[Removal], due_at: datetime, upto: Position) -> None:
        async with self._connection() as connection, connection.transaction():
            await connection.execute(NOTE, (due_at, *_columns(removals)))
            await connection.execute(MOVE, (upto,))

    async def due(self, now: datetime, limit: int) -> Sequence[Removal]:
        async with self._connection() as connection:
            rows = await (await connection.execute(DUE, (now, limit))).fetchall()
        return [Removal(Digest(digest), Position(position)) for digest, position in rows]

    async def later(self, removals: Sequence[Removal], due_at: datetime) -> None:
        async with self._connection() as connection:
            await connection.execute(LATER, (due_at, [each.digest for each in removals]))

    async def done(self, removals: Sequence[Removal]) -> None:
        async with self._connection() as connection:
            await connection.execute(DONE, _columns(removals))

    async def let_renditions_go(self, made_before: datetime, now: datetime) -> None:
        async with self._connection() as connection:
            await connection.execute(LET_RENDITIONS_GO, (made_before, now))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LogUnavailableError("Postgres cannot be reached at the moment.") from error


def _columns(removals: Sequence[Removal]) -> tuple[list[str], list[int]]:
    return [each.digest for each in removals], [each.position for each in removals]
