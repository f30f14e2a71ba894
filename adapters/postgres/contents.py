"""Documents beside the log, compressed, by the SHA-256 of what they are uncompressed."""

import asyncio
import hashlib
import zlib
from collections.abc import Callable, Sequence
from typing import TypeVar

import psycopg
from psycopg_pool import AsyncConnectionPool

from commands.ports import LogUnavailableError
from domain.ids import Digest

B = TypeVar("B")
T = TypeVar("T")

# On the disk before the event that names it is appended: a server that dies in between must not forget what is named
# when it has come back.
PUT = """
INSERT INTO log.contents (digest, size_bytes, body) VALUES (%s, %s, %s) ON CONFLICT (digest) DO NOTHING
"""
PUT_ALL = """
INSERT INTO log.contents (digest, size_bytes, body) SELECT * FROM unnest(%s::bytea[], %s::bigint[], %s::bytea[])
ON CONFLICT (digest) DO NOTHING
"""
GET = "SELECT body FROM log.contents WHERE digest = %s"
IN_THREAD_BYTES = 64 * 1024  # below, compressing is quicker than handing over


class PostgresContents:
    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def put(self, body: bytes) -> Digest:
        """Raises LogUnavailableError."""
        digest, packed = await _off_loop(len(body), _pack, body)
        try:
            async with self._pool.connection() as connection:
                await connection.execute(PUT, (digest, len(body), packed), binary=True)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LogUnavailableError("The document cannot be stored at the moment.") from error
        return Digest(digest.hex())

    async def put_all(self, bodies: Sequence[bytes]) -> Sequence[Digest]:
        """Raises LogUnavailableError."""
        packed = await _off_loop(sum(map(len, bodies)), _pack_all, bodies)
        different = dict(packed)  # in one statement a row must not come twice, nor two writers meet crosswise
        sizes = dict(zip((digest for digest, _ in packed), map(len, bodies), strict=True))
        order = sorted(different)
        columns = (order, [sizes[each] for each in order], [different[each] for each in order])
        try:
            async with self._pool.connection() as connection:
                await connection.execute(PUT_ALL, columns)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LogUnavailableError("The documents cannot be stored at the moment.") from error
        return [Digest(digest.hex()) for digest, _ in packed]

    async def get(self, digest: Digest) -> bytes | None:
        """Raises LogUnavailableError."""
        try:
            async with self._pool.connection() as connection:
                cursor = connection.cursor(binary=True)
                await cursor.execute(GET, (bytes.fromhex(digest),))
                row = await cursor.fetchone()
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LogUnavailableError("The document cannot be read at the moment.") from error
        if row is None:
            return None
        return await _off_loop(len(row[0]) * 4, zlib.decompress, bytes(row[0]))


def _pack(body: bytes) -> tuple[bytes, bytes]:
    return hashlib.sha256(body).digest(), zlib.compress(body, 6)


def _pack_all(bodies: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    return [_pack(body) for body in bodies]


async def _off_loop(size_bytes: int, function: Callable[[B], T], body: B) -> T:
    if size_bytes < IN_THREAD_BYTES:
        return function(body)
    return await asyncio.to_thread(function, body)
