"""Erasures that are not finished, in work.erasing; the checkpoint moves with them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from commands.ports import LogUnavailableError
from domain.ids import AccountId, Position
from services.ports.erasing import Erased

POSITION = "SELECT position FROM work.checkpoints WHERE name = 'erasing'"
MOVE = "UPDATE work.checkpoints SET position = greatest(position, %s) WHERE name = 'erasing'"
NOTE = """
INSERT INTO work.erasing (erased, at, position, with_published) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
UNFINISHED = "SELECT erased, at, position, with_published FROM work.erasing ORDER BY position LIMIT 100"
FINISHED = "DELETE FROM work.erasing WHERE erased = %s"


class PostgresErasureLedger:
    """The ErasureLedger port."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def position(self) -> Position:
        async with self._connection() as connection:
            row = await (await connection.execute(POSITION)).fetchone()
        return Position(row[0] if row else 0)

    async def note(self, erased: Sequence[Erased], upto: Position) -> None:
        rows = [(each.account, each.at, each.position, each.with_published) for each in erased]
        async with self._connection() as connection, connection.transaction():
            await connection.cursor().executemany(NOTE, rows)
            await connection.execute(MOVE, (upto,))

    async def unfinished(self) -> Sequence[Erased]:
        async with self._connection() as connection:
            rows = await (await connection.execute(UNFINISHED)).fetchall()
        return [
            Erased(AccountId(account), at, Position(position), with_published)
            for account, at, position, with_published in rows
        ]

    async def finished(self, account: AccountId) -> None:
        async with self._connection() as connection:
            await connection.execute(FINISHED, (account,))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LogUnavailableError("Postgres cannot be reached at the moment.") from error
