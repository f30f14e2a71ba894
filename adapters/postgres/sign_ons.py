"""Log-ins by a provider that are under way, in work.sign_ons."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from commands.ports import LogUnavailableError
from commands.providers import SignOn

FORGET_EXPIRED = "DELETE FROM work.sign_ons WHERE expires_at < now()"
KEEP = """
INSERT INTO work.sign_ons (key, expires_at, account, session, identity) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (key) DO NOTHING
"""
TAKE = "DELETE FROM work.sign_ons WHERE key = %s RETURNING key, expires_at, account, session, identity"


class PostgresSignOns:
    """The SignOns port."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def keep(self, sign_on: SignOn) -> None:
        values = (sign_on.key, sign_on.expires_at, sign_on.account, sign_on.session, sign_on.identity)
        async with self._connection() as connection:
            await connection.execute(FORGET_EXPIRED)
            await connection.execute(KEEP, values)

    async def take(self, key: bytes) -> SignOn | None:
        async with self._connection() as connection:
            row = await (await connection.execute(TAKE, (key,))).fetchone()
        return None if row is None else SignOn(**dict(zip(SignOn.__struct_fields__, row, strict=True)))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LogUnavailableError("Postgres cannot be reached at the moment.") from error
