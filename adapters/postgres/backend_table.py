"""Who drives which backend: working state that executors' beats renew."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from services.ports.dispatching import QueueUnavailableError

ASSIGN = """
INSERT INTO work.backends AS b (name, executor, live, seen_until) VALUES (%(name)s, %(executor)s, false, %(until)s)
ON CONFLICT (name) DO UPDATE
SET executor = EXCLUDED.executor, live = b.live AND b.executor = EXCLUDED.executor, seen_until = EXCLUDED.seen_until
WHERE b.executor = EXCLUDED.executor OR b.seen_until < now()
RETURNING name
"""
STOCKS = "SELECT name, stock FROM work.backends"
TAKE_STOCK = "SELECT work.take_stock(%(name)s, %(stock)s, %(has)s)"


class PostgresBackendTable:
    """The BackendTable port."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def assign(self, name: str, executor: str, until: datetime) -> bool:
        values = {"name": name, "executor": executor, "until": until}
        return bool(await self._fetch(ASSIGN, values))

    async def stocks(self) -> dict[str, str]:
        return dict(await self._fetch(STOCKS, {}))

    async def take_stock(self, name: str, stock: str, has: Sequence[str]) -> None:
        await self._fetch(TAKE_STOCK, {"name": name, "stock": stock, "has": list(has)})

    async def _fetch(self, query: str, values: dict[str, Any]) -> list[Any]:
        try:
            async with self._pool.connection() as connection:
                cursor = await connection.execute(query.encode(), values, prepare=True)
                return await cursor.fetchall() if cursor.description else []
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise QueueUnavailableError("The backends' table cannot be reached at the moment.") from error
