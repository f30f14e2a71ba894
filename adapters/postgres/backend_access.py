"""Backends' addresses and credentials, encrypted: the BackendAccess port."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol
from uuid import UUID

import psycopg
import psycopg_pool
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from commands.backend_access import Access
from commands.ports import LogUnavailableError
from domain.ids import AccountId

KEEP = """
INSERT INTO work.backend_sealed (id, backend, account, sealed) VALUES (%s, %s, %s, %s)
"""
OPENED = "SELECT id, sealed FROM work.backend_sealed WHERE id = ANY(%s)"
NAMES = "SELECT backend FROM work.backend_sealed UNION SELECT name FROM work.backends ORDER BY 1"
FORGET = "DELETE FROM work.backend_sealed WHERE backend = %s AND id IS DISTINCT FROM %s"


class Box(Protocol):
    def seal(self, id: UUID, access: Access) -> bytes: ...

    def open(self, id: UUID, sealed: bytes) -> Access: ...


class PostgresBackendAccess:
    def __init__(self, pool: AsyncConnectionPool[Any], box: Box) -> None:
        self._pool = pool
        self._box = box

    async def keep(self, id: UUID, backend: str, owner: AccountId | None, access: Access) -> None:
        async with self._connection() as connection:
            await connection.execute(KEEP, (id, backend, owner, self._box.seal(id, access)))

    async def opened(self, ids: Collection[UUID]) -> dict[UUID, Access]:
        async with self._connection() as connection:
            rows = await (await connection.execute(OPENED, (list(ids),))).fetchall()
        return {id: self._box.open(id, bytes(sealed)) for id, sealed in rows}

    async def names(self) -> Sequence[str]:
        async with self._connection() as connection:
            rows = await (await connection.execute(NAMES)).fetchall()
        return [name for (name,) in rows]

    async def forget(self, backend: str, *, but: UUID | None = None) -> None:
        async with self._connection() as connection:
            await connection.execute(FORGET, (backend, but))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout) as error:
            raise LogUnavailableError("The backends' addresses cannot be reached at the moment.") from error
