"""Second factors, in work.factors and work.recovery_codes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from commands.ports import LogUnavailableError
from domain.ids import AccountId

KEEP = "INSERT INTO work.factors (id, account, sealed) VALUES (%s, %s, %s)"
SECRET = "SELECT sealed FROM work.factors WHERE id = %s AND account = %s"
USE_STEP = (
    "UPDATE work.factors SET last_step = %(step)s WHERE id = %(id)s AND last_step < %(step)s RETURNING id"
)
KEEP_CODES = """
WITH gone AS (DELETE FROM work.recovery_codes WHERE factor = %(id)s AND NOT code_hash = ANY (%(hashes)s))
INSERT INTO work.recovery_codes (factor, account, code_hash)
SELECT %(id)s, %(account)s, code_hash FROM unnest(%(hashes)s::bytea[]) AS each (code_hash)
ON CONFLICT DO NOTHING
"""
USE_CODE = """
DELETE FROM work.recovery_codes WHERE factor = %s AND account = %s AND code_hash = %s RETURNING factor
"""
FORGET = """
WITH codes AS (
    DELETE FROM work.recovery_codes WHERE account = %(account)s AND factor IS DISTINCT FROM %(kept)s::uuid
)
DELETE FROM work.factors WHERE account = %(account)s AND id IS DISTINCT FROM %(kept)s::uuid
"""


class Box(Protocol):
    def seal(self, id: UUID, secret: bytes) -> bytes: ...

    def open(self, id: UUID, sealed: bytes) -> bytes: ...


class PostgresFactors:
    """The Factors port."""

    def __init__(self, pool: AsyncConnectionPool, box: Box) -> None:
        self._pool = pool
        self._box = box

    async def keep(self, account: AccountId, id: UUID, secret: bytes) -> None:
        async with self._connection() as connection:
            await connection.execute(KEEP, (id, account, self._box.seal(id, secret)))

    async def secret(self, account: AccountId, id: UUID) -> bytes | None:
        async with self._connection() as connection:
            row = await (await connection.execute(SECRET, (id, account))).fetchone()
        return None if row is None else self._box.open(id, bytes(row[0]))

    async def use_step(self, id: UUID, step: int) -> bool:
        async with self._connection() as connection:
            found = await connection.execute(USE_STEP, {"id": id, "step": step})
            return await found.fetchone() is not None

    async def keep_codes(self, account: AccountId, id: UUID, hashes: Sequence[bytes]) -> None:
        values = {"id": id, "account": account, "hashes": list(hashes)}
        async with self._connection() as connection:
            await connection.execute(KEEP_CODES, values)

    async def use_code(self, account: AccountId, id: UUID, code_hash: bytes) -> bool:
        async with self._connection() as connection:
            found = await connection.execute(USE_CODE, (id, account, code_hash))
            return await found.fetchone() is not None

    async def forget(self, account: AccountId, kept: UUID | None) -> None:
        async with self._connection() as connection:
            await connection.execute(FORGET, {"account": account, "kept": kept})

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LogUnavailableError("Postgres cannot be reached at the moment.") from error
