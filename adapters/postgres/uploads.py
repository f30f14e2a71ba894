"""Uploads under way, in work.uploads."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from commands.ports import LogUnavailableError
from domain.ids import AccountId, Digest, LoraId, Position
from services.ports.uploading import Room, Upload

COLUMNS = "id, account, name, description, file, size_bytes, room_bytes, digest, made_at, expires_at, lora, position"
ONE_AT_A_TIME = b"SELECT pg_advisory_xact_lock(hashtextextended('uploads of ' || %s::text, 0))"
TAKEN = b"""
SELECT count(*), coalesce(sum(room_bytes), 0)::bigint FROM work.uploads
WHERE account = %s AND lora IS NULL AND expires_at > %s
"""
BEGIN = b"""
INSERT INTO work.uploads (id, account, name, description, file, size_bytes, room_bytes, digest, made_at, expires_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO NOTHING
"""
FIND = f"SELECT {COLUMNS} FROM work.uploads WHERE id = %s".encode()
KEEP = b"UPDATE work.uploads SET expires_at = %s WHERE id = %s"
COMPLETE = b"UPDATE work.uploads SET size_bytes = %s, lora = %s, position = %s WHERE id = %s"
REMOVE = b"DELETE FROM work.uploads WHERE id = %s"
ALL = f"SELECT {COLUMNS} FROM work.uploads ORDER BY made_at, id".encode()


class PostgresUploads:
    """The Uploads port."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def begin(self, upload: Upload, room: Room) -> bool:
        async with self._connection() as connection, connection.transaction():
            await connection.execute(ONE_AT_A_TIME, (upload.account,))
            row = await (await connection.execute(TAKEN, (upload.account, upload.made_at))).fetchone()
            assert row is not None
            count, size_bytes = row
            if count >= room.count or size_bytes + upload.room_bytes > room.size_bytes:
                return False
            values = (
                *(upload.id, upload.account, upload.name, upload.description, upload.file, upload.size_bytes),
                *(upload.room_bytes, upload.digest, upload.made_at, upload.expires_at),
            )
            await connection.execute(BEGIN, values)
        return True

    async def find(self, id: UUID) -> Upload | None:
        async with self._connection() as connection:
            row = await (await connection.execute(FIND, (id,))).fetchone()
        return None if row is None else _upload(row)

    async def keep_until(self, id: UUID, until: datetime) -> None:
        await self._change(KEEP, (until, id))

    async def complete(self, id: UUID, size_bytes: int, lora: LoraId, position: Position) -> None:
        await self._change(COMPLETE, (size_bytes, lora, position, id))

    async def remove(self, id: UUID) -> None:
        await self._change(REMOVE, (id,))

    async def all(self) -> Sequence[Upload]:
        async with self._connection() as connection:
            return [_upload(row) for row in await (await connection.execute(ALL)).fetchall()]

    async def _change(self, query: bytes, values: tuple[Any, ...]) -> None:
        async with self._connection() as connection:
            await connection.execute(query, values)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LogUnavailableError("Postgres cannot be reached at the moment.") from error


def _upload(row: tuple[Any, ...]) -> Upload:
    (
        id,
        account,
        name,
        description,
        file,
        size_bytes,
        room_bytes,
        digest,
        made_at,
        expires_at,
        lora,
        position,
    ) = row
    return Upload(
        id=id,
        account=AccountId(account),
        name=name,
        description=description,
        file=file,
        size_bytes=size_bytes,
        room_bytes=room_bytes,
        digest=None if digest is None else Digest(digest),
        made_at=made_at,
        expires_at=expires_at,
        lora=None if lora is None else LoraId(lora),
        position=Position(position or 0),
    )
