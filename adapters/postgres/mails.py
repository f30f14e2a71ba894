"""Mails that wait to be sent and the tokens in them, in work.mails and work.mail_tokens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from commands.identity_ports import Mail, MailToken
from commands.ports import LogUnavailableError
from services.ports.mailing import ATTEMPTS, Due

PUT = "INSERT INTO work.mails (id, account, sealed, due_at) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"
PUT_OFF = """
INSERT INTO work.mails (id, account, sealed, due_at) VALUES (%s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed WHERE work.mails.attempts = 0
"""
KEEP_TOKEN = """
INSERT INTO work.mail_tokens (token_hash, account, purpose, email, epoch, expires_at)
VALUES (%s, %s, %s, %s, %s, %s)
"""
USE_TOKEN = """
DELETE FROM work.mail_tokens WHERE token_hash = %s
RETURNING token_hash, account, purpose, email, epoch, expires_at
"""
FORGET_EXPIRED = "DELETE FROM work.mail_tokens WHERE expires_at < now()"
# Put off before it is tried: 2 minutes, then 4, 8 ...: whoever dies while sending does not send it for ever.
# What is left of so many attempts, as whoever sends it dies or cannot read it, is not tried for ever.
NEXT = f"""
WITH given_up AS (DELETE FROM work.mails WHERE due_at <= now() AND attempts >= {ATTEMPTS})
UPDATE work.mails SET attempts = attempts + 1, due_at = now() + interval '1 minute' * 2 ^ least(attempts + 1, 10)
WHERE id = (
    SELECT id FROM work.mails WHERE due_at <= now() AND attempts < {ATTEMPTS}
    ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING id, sealed, attempts
"""
DONE = "DELETE FROM work.mails WHERE id = %s"


class Box(Protocol):
    def seal(self, mail: Mail) -> bytes: ...

    def open(self, sealed: bytes) -> Mail: ...


class PostgresMails:
    """The Mails port, and the Outbox of whoever sends them."""

    def __init__(self, pool: AsyncConnectionPool, box: Box) -> None:
        self._pool = pool
        self._box = box

    async def put(self, mail: Mail, at: datetime) -> None:
        async with self._connection() as connection:
            await connection.execute(PUT, (mail.id, mail.account, self._box.seal(mail), at))

    async def put_off(self, mail: Mail, until: datetime) -> None:
        async with self._connection() as connection:
            await connection.execute(PUT_OFF, (mail.id, mail.account, self._box.seal(mail), until))

    async def keep_token(self, token: MailToken) -> None:
        values = (token.token_hash, token.account, token.purpose, token.email, token.epoch, token.expires_at)
        async with self._connection() as connection:
            await connection.execute(FORGET_EXPIRED)
            await connection.execute(KEEP_TOKEN, values)

    async def use_token(self, token_hash: bytes) -> MailToken | None:
        async with self._connection() as connection:
            row = await (await connection.execute(USE_TOKEN, (token_hash,))).fetchone()
        if row is None:
            return None
        return MailToken(**dict(zip(MailToken.__struct_fields__, row, strict=True)))

    async def next(self) -> Due | None:
        async with self._connection() as connection:
            row = await (await connection.execute(NEXT)).fetchone()
        return None if row is None else Due(row[0], self._box.open(bytes(row[1])), row[2])

    async def done(self, id: UUID) -> None:
        async with self._connection() as connection:
            await connection.execute(DONE, (id,))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LogUnavailableError("Postgres cannot be reached at the moment.") from error
