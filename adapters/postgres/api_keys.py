"""API keys that have not been revoked."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from commands.identity_ports import KeyRow
from commands.ports import LogUnavailableError
from domain.api_key import Scope
from domain.ids import AccountId, ApiKeyId

ADD = """
INSERT INTO work.api_keys (key, account, name, scopes, key_hash, made_at, expires_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
REMOVE = "DELETE FROM work.api_keys WHERE key = %s AND account = %s RETURNING key"
USED = "UPDATE work.api_keys SET used_at = greatest(used_at, %s) WHERE key = %s"
# With the account's credentials: an erased account has none, and its keys open nothing.
KEYS = """
SELECT k.key, k.account, k.name, k.scopes, k.made_at, k.expires_at, k.used_at
FROM work.api_keys AS k JOIN work.credentials AS c ON c.account = k.account
"""
FIND = f"{KEYS} WHERE k.key = %s AND k.key_hash = %s"
AMONG = f"{KEYS} WHERE k.key = ANY(%s)"
OF = f"{KEYS} WHERE k.account = %s ORDER BY k.made_at, k.key LIMIT 1000"


class PostgresApiKeys:
    """The ApiKeys port. Every method raises LogUnavailableError while Postgres is away."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def add(self, row: KeyRow, key_hash: bytes) -> None:
        scopes = [str(scope) for scope in row.scopes]
        values = (row.key, row.account, row.name, scopes, key_hash, row.made_at, row.expires_at)
        async with self._connection() as connection:
            await connection.execute(ADD, values)

    async def remove(self, key: ApiKeyId, account: AccountId) -> bool:
        async with self._connection() as connection:
            return (await (await connection.execute(REMOVE, (key, account))).fetchone()) is not None

    async def find(self, key: ApiKeyId, key_hash: bytes) -> KeyRow | None:
        found = await self._rows(FIND, (key, key_hash))
        return found[0] if found else None

    async def among(self, keys: Sequence[ApiKeyId]) -> Sequence[KeyRow]:
        return await self._rows(AMONG, (list(keys),))

    async def of(self, account: AccountId) -> Sequence[KeyRow]:
        return await self._rows(OF, (account,))

    async def used(self, key: ApiKeyId, at: datetime) -> None:
        async with self._connection() as connection:
            await connection.execute(USED, (at, key))

    async def _rows(self, query: str, values: tuple[Any, ...]) -> list[KeyRow]:
        async with self._connection() as connection:
            rows = await (await connection.execute(query.encode(), values)).fetchall()
        return [_row(*row) for row in rows]

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LogUnavailableError("The keys cannot be reached at the moment.") from error


def _row(key: Any, account: Any, name: str, scopes: list[str], made: Any, expires: Any, used: Any) -> KeyRow:
    return KeyRow(
        key=key,
        account=account,
        name=name,
        scopes=tuple(Scope(scope) for scope in scopes),
        made_at=made,
        expires_at=expires,
        used_at=used,
    )
