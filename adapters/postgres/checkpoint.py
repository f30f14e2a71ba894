"""How far the log was looked through by an errand that reacts to it."""

from typing import Any

import psycopg
import psycopg_pool
from psycopg_pool import AsyncConnectionPool

from commands.ports import LogUnavailableError
from domain.ids import Position

POSITION = "SELECT position FROM work.checkpoints WHERE name = %s"
MOVE = "UPDATE work.checkpoints SET position = greatest(position, %s) WHERE name = %s RETURNING position"


class PostgresCheckpoint:
    """`name`: as a migration has written it down."""

    def __init__(self, pool: AsyncConnectionPool[Any], name: str) -> None:
        self._pool = pool
        self._name = name

    async def position(self) -> Position:
        return await self._fetch(POSITION, self._name)

    async def move(self, upto: Position) -> None:
        await self._fetch(MOVE, upto, self._name)

    async def _fetch(self, query: str, *values: int | str) -> Position:
        try:
            async with self._pool.connection() as connection:
                row = await (await connection.execute(query.encode(), values)).fetchone()
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout) as error:
            raise LogUnavailableError("Postgres cannot be reached at the moment.") from error
        return Position(row[0] if row else 0)
