"""The keys of accounts, for those who open personal fields for the read models."""

import asyncio
from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from domain.ids import AccountId
from projections.pages import Connect

_KEYS = b"SELECT account, key FROM work.account_keys WHERE account = ANY (%s)"


class AccountKeys:
    """Over one connection that is renewed when lost."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: AsyncConnection[Any] | None = None
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> "AccountKeys":
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def keys(self, accounts: Sequence[AccountId]) -> dict[AccountId, bytes]:
        """Sealed, of those accounts that have one (any more). Raises psycopg.OperationalError."""
        async with self._lock:
            if self._connection is None or self._connection.closed or self._connection.broken:
                self._connection = await self._connect()
            rows = await (await self._connection.execute(_KEYS, (list(accounts),))).fetchall()
        return {AccountId(account): bytes(key) for account, key in rows}
