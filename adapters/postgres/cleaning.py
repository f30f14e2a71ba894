"""How far the log was looked through for what is to be cleaned away."""

from typing import Any

import psycopg
import psycopg_pool
from psycopg_pool import AsyncConnectionPool

from commands.ports import LogUnavailableError
from domain.ids import Position

POSITION = "SELECT position FROM work.checkpoints WHERE name = 'cleaning'"
MOVE = (
    "UPDATE work.checkpoints SET position = greatest(position, %s) WHERE name = 'cleaning' RETURNING position"
)


class PostgresCleaningCheckpoint:
    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def position(self) -> Position:
        return await self._fetch(POSITION)

    async def move(self, upto: Position) -> None:
        await self._fetch(MOVE, upto)

    async def _fetch(self, query: str, *values: int) -> Position:
        try:
            async with self._pool.connection() as connection:
                row = await (await connection.execute(query.encode(), values)).fetchone()
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout) as error:
            raise LogUnavailableError("Postgres cannot be reached at the moment.") from error
        return Position(row[0] if row else 0)
