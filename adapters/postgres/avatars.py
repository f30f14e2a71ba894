"""Pictures of accounts, in work.avatars."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from commands.avatars import Avatar
from commands.ports import LogUnavailableError
from domain.ids import AccountId

KEEP = "INSERT INTO work.avatars (id, account, media_type, body) VALUES (%s, %s, %s, %s)"
FIND = "SELECT body, media_type FROM work.avatars WHERE id = %s"
FORGET = "DELETE FROM work.avatars WHERE id = %s AND account = %s"


class PostgresAvatars:
    """The Avatars port."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def keep(self, account: AccountId, id: UUID, avatar: Avatar) -> bool:
        async with self._connection() as connection:
            try:
                await connection.execute(KEEP, (id, account, avatar.media_type, avatar.body))
            except psycopg.errors.ForeignKeyViolation:
                return False
        return True

    async def find(self, id: UUID) -> Avatar | None:
        async with self._connection() as connection:
            row = await (await connection.execute(FIND, (id,))).fetchone()
        return None if row is None else Avatar(bytes(row[0]), row[1])

    async def forget(self, account: AccountId, id: UUID) -> None:
        async with self._connection() as connection:
            await connection.execute(FORGET, (id, account))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LogUnavailableError("Postgres cannot be reached at the moment.") from error
