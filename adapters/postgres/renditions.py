"""Which object is which rendition of which, in work.renditions."""

from datetime import datetime
from typing import Any

import psycopg
import psycopg_pool
from psycopg_pool import AsyncConnectionPool

from commands.ports import LogUnavailableError
from domain.ids import Digest
from services.ports.picturing import KeptRendition

FIND = "SELECT digest, media_type FROM work.renditions WHERE source = %s AND rendition = %s"
KEEP = """
INSERT INTO work.renditions (source, rendition, digest, media_type, made_at) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (source, rendition) DO UPDATE
SET digest = EXCLUDED.digest, media_type = EXCLUDED.media_type, made_at = EXCLUDED.made_at
"""


class PostgresRenditions:
    """The RenditionLedger port."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def find(self, source: Digest, rendition: str) -> KeptRendition | None:
        try:
            async with self._pool.connection() as connection:
                row = await (await connection.execute(FIND, (source, rendition))).fetchone()
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout) as error:
            raise LogUnavailableError("Postgres cannot be reached at the moment.") from error
        return None if row is None else KeptRendition(Digest(row[0]), row[1])

    async def keep(self, source: Digest, rendition: str, kept: KeptRendition, at: datetime) -> None:
        try:
            async with self._pool.connection() as connection:
                await connection.execute(KEEP, (source, rendition, kept.digest, kept.media_type, at))
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout) as error:
            raise LogUnavailableError("Postgres cannot be reached at the moment.") from error
