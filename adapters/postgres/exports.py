"""Exports, in work.exports."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from commands.ports import LogUnavailableError
from domain.ids import AccountId
from services.ports.exporting import Export, ExportState

COLUMNS = "id, account, state, done, total, size_bytes, reason, asked_at, ended_at"
ASK = """
INSERT INTO work.exports (id, account, asked_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""
NEWEST = f"""
SELECT {COLUMNS} FROM work.exports WHERE account = %(account)s
ORDER BY id = %(id)s DESC NULLS LAST, state IN ('waiting', 'building') DESC, asked_at DESC LIMIT 1
"""
FIND = f"SELECT {COLUMNS} FROM work.exports WHERE id = %s"
NEXT = f"""
SELECT {COLUMNS} FROM work.exports WHERE state IN ('waiting', 'building')
ORDER BY state = 'building' DESC, asked_at, id LIMIT 1
"""
PROGRESS = "UPDATE work.exports SET state = 'building', done = %s, total = %s WHERE id = %s"
READY = """
WITH made AS (
    UPDATE work.exports SET state = 'ready', done = total, size_bytes = %(size_bytes)s, ended_at = %(at)s
    WHERE id = %(id)s RETURNING account
)
DELETE FROM work.exports AS older USING made
WHERE older.account = made.account AND older.id <> %(id)s AND older.ended_at IS NOT NULL
"""
IS_READY = "SELECT FROM work.exports WHERE id = %s AND state = 'ready'"
FAILED = "UPDATE work.exports SET state = 'failed', reason = %s, ended_at = %s WHERE id = %s"
FORGET = "DELETE FROM work.exports WHERE id = %s"
FORGET_ENDED = "DELETE FROM work.exports WHERE ended_at < %s"
IDS = "SELECT id FROM work.exports"


class PostgresExports:
    """The Exports port."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def ask(self, account: AccountId, id: UUID, at: datetime) -> Export:
        async with self._connection() as connection, connection.transaction():
            await connection.execute(ASK, (id, account, at))
            row = await (await connection.execute(NEWEST, {"account": account, "id": id})).fetchone()
        assert row is not None
        return _export(row)

    async def newest(self, account: AccountId) -> Export | None:
        rows = await self._fetch(NEWEST, {"account": account, "id": None})
        return _export(rows[0]) if rows else None

    async def find(self, id: UUID) -> Export | None:
        rows = await self._fetch(FIND, (id,))
        return _export(rows[0]) if rows else None

    async def next(self) -> Export | None:
        rows = await self._fetch(NEXT, ())
        return _export(rows[0]) if rows else None

    async def progress(self, id: UUID, done: int, total: int) -> bool:
        return await self._change(PROGRESS, (done, total, id)) > 0

    async def ready(self, id: UUID, size_bytes: int, at: datetime) -> bool:
        await self._change(READY, {"id": id, "size_bytes": size_bytes, "at": at})
        return bool(await self._fetch(IS_READY, (id,)))

    async def failed(self, id: UUID, reason: str, at: datetime) -> None:
        await self._change(FAILED, (reason, at, id))

    async def forget(self, id: UUID) -> None:
        await self._change(FORGET, (id,))

    async def forget_ended(self, before: datetime) -> None:
        await self._change(FORGET_ENDED, (before,))

    async def ids(self) -> Sequence[UUID]:
        return [id for (id,) in await self._fetch(IDS, ())]

    async def _fetch(self, query: str, values: Any) -> list[tuple[Any, ...]]:
        async with self._connection() as connection:
            return await (await connection.execute(query.encode(), values)).fetchall()

    async def _change(self, query: str, values: Any) -> int:
        async with self._connection() as connection:
            return (await connection.execute(query.encode(), values)).rowcount

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LogUnavailableError("Postgres cannot be reached at the moment.") from error


def _export(row: tuple[Any, ...]) -> Export:
    id, account, state, done, total, size_bytes, reason, asked_at, ended_at = row
    return Export(
        id=id,
        account=AccountId(account),
        state=ExportState(state),
        done=done,
        total=total,
        size_bytes=size_bytes,
        reason=reason,
        asked_at=asked_at,
        ended_at=ended_at,
    )
