"""Attempts, in work.attempts: of each key the instant at which all is forgiven."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from commands.identity_ports import Tries
from commands.ports import LogUnavailableError

TAKE = """
INSERT INTO work.attempts AS a (key, until) VALUES (%(key)s, %(now)s::timestamptz + %(step)s)
ON CONFLICT (key) DO UPDATE SET until = greatest(a.until, %(now)s) + %(step)s
WHERE greatest(a.until, %(now)s) + %(step)s <= %(now)s + %(window)s
RETURNING until
"""
UNTIL = "SELECT until FROM work.attempts WHERE key = %s"
GIVE_BACK = "UPDATE work.attempts SET until = until - %(step)s::interval WHERE key = %(key)s"
FORGET_FORGIVEN = """
DELETE FROM work.attempts WHERE key IN (
    SELECT key FROM work.attempts WHERE until < %s ORDER BY until LIMIT 100 FOR UPDATE SKIP LOCKED
)
"""


class PostgresAttempts:
    """The Attempts port."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def take(self, key: UUID, tries: Tries, now: datetime) -> timedelta:
        values = {"key": key, "now": now, "step": tries.step, "window": tries.window}
        async with self._connection() as connection:
            if await (await connection.execute(TAKE, values)).fetchone():
                return timedelta()
            row = await (await connection.execute(UNTIL, (key,))).fetchone()
        until = now if row is None else max(row[0], now)  # somebody has given one back meanwhile
        return max(until + tries.step - now - tries.window, timedelta(seconds=1))

    async def give_back(self, key: UUID, tries: Tries, now: datetime) -> None:
        async with self._connection() as connection:
            await connection.execute(GIVE_BACK, {"key": key, "step": tries.step})
            await connection.execute(FORGET_FORGIVEN, (now,))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LogUnavailableError("Postgres cannot be reached at the moment.") from error
