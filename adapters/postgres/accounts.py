"""Credentials, keys and refresh tokens: what must never be in the log."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from commands.identity_ports import Credentials, RefreshToken, SessionRow
from commands.names import canonical_email, canonical_username
from commands.ports import LogUnavailableError
from domain.ids import AccountId, SessionId

# Registering writes credentials first, then the events: a registration that died between the two left an orphan.
FORGET_ORPHANS = """
WITH orphan AS (
    DELETE FROM work.credentials AS c
    WHERE (c.username_key = %s OR c.email_key = %s) AND c.created_at < now() - interval '1 hour'
        AND NOT EXISTS (SELECT FROM log.events AS e WHERE e.originator_id = c.account)
    RETURNING c.account
)
DELETE FROM work.account_keys AS k USING orphan WHERE k.account = orphan.account
"""
ADD = """
WITH known AS (
    INSERT INTO work.credentials (account, username, username_key, email, email_key, password_hash)
    VALUES (%s, %s, %s, %s, %s, %s)
    RETURNING account
)
INSERT INTO work.account_keys (account, key) SELECT account, %s FROM known
"""
REMOVE = """
WITH removed AS (DELETE FROM work.credentials WHERE account = %s RETURNING account)
DELETE FROM work.account_keys AS k USING removed WHERE k.account = removed.account
"""
ERASE = "SELECT work.erase_account(%s)"
KEYS = "SELECT account, key FROM work.account_keys WHERE account = ANY (%s)"
BY_ID = """
SELECT c.account, c.username, c.email, c.password_hash,
    (SELECT json_object_agg(a.name, a.email) FROM work.addresses AS a WHERE a.account = c.account),
    (SELECT json_object_agg(p.id, p.hash) FROM work.passwords AS p WHERE p.account = c.account)
FROM work.credentials AS c WHERE c.account = %s
"""
KEEP_PASSWORD = "INSERT INTO work.passwords (account, id, hash) VALUES (%s, %s, %s)"
FORGET_PASSWORD = "DELETE FROM work.passwords WHERE account = %s AND id = %s"
FORGET_FIRST_PASSWORD = "UPDATE work.credentials SET password_hash = '' WHERE account = %s"
KEEP_EMAIL = """
INSERT INTO work.addresses (account, name, email) VALUES (%s, %s, %s)
ON CONFLICT (account, name) DO UPDATE SET email = excluded.email
"""
FORGET_EMAIL = "DELETE FROM work.addresses WHERE account = %s AND name = %s"
FORGET_FIRST_EMAIL = "UPDATE work.credentials SET email = '', email_key = '' WHERE account = %s"
NOTE_SESSION = """
INSERT INTO work.sessions (session, account, user_agent, address, began_at, used_at)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (session) DO UPDATE
SET user_agent = excluded.user_agent, address = excluded.address, used_at = excluded.used_at
"""
SESSIONS = """
SELECT session, account, user_agent, address, began_at, used_at FROM work.sessions
WHERE account = %s ORDER BY used_at DESC, session LIMIT 200
"""
ADD_TOKEN = """
INSERT INTO work.refresh_tokens (token_hash, session, account, expires_at) VALUES (%s, %s, %s, %s)
"""
USE_TOKEN = """
WITH before AS (
    SELECT token_hash, session, account, expires_at, used FROM work.refresh_tokens
    WHERE token_hash = %s FOR UPDATE
), marked AS (
    UPDATE work.refresh_tokens AS t SET used = true FROM before WHERE t.token_hash = before.token_hash
)
SELECT token_hash, session, account, expires_at, used FROM before
"""
END_SESSION = """
WITH tokens AS (DELETE FROM work.refresh_tokens WHERE session = %(session)s)
DELETE FROM work.sessions WHERE session = %(session)s
"""
END_OTHERS = """
WITH tokens AS (
    DELETE FROM work.refresh_tokens WHERE account = %(account)s AND session IS DISTINCT FROM %(kept)s::uuid
)
DELETE FROM work.sessions WHERE account = %(account)s AND session IS DISTINCT FROM %(kept)s::uuid
"""
FORGET_EXPIRED = "DELETE FROM work.refresh_tokens WHERE expires_at < now()"
FORGET_UNUSED = """
DELETE FROM work.sessions AS s
WHERE s.used_at < now() - interval '1 day'
    AND NOT EXISTS (SELECT FROM work.refresh_tokens AS t WHERE t.session = s.session)
"""


class PostgresAccounts:
    """The Accounts port. Every method raises LogUnavailableError while Postgres is away."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LogUnavailableError("The accounts cannot be reached at the moment.") from error

    async def add(self, credentials: Credentials, key: bytes) -> None:
        values = (
            credentials.account,
            credentials.username,
            canonical_username(credentials.username),
            credentials.email,
            canonical_email(credentials.email),
            credentials.password_hash,
        )
        async with self._connection() as connection:
            await connection.execute(FORGET_ORPHANS, (values[2], values[4]))
            await connection.execute(ADD, (*values, key))

    async def remove(self, account: AccountId) -> None:
        async with self._connection() as connection:
            await connection.execute(REMOVE, (account,))

    async def erase(self, account: AccountId) -> None:
        async with self._connection() as connection:
            await connection.execute(ERASE, (account,))

    async def keys(self, accounts: Sequence[AccountId]) -> dict[AccountId, bytes]:
        async with self._connection() as connection:
            cursor = await connection.execute(KEYS, (list(accounts),))
            return {AccountId(account): bytes(key) for account, key in await cursor.fetchall()}

    async def by_id(self, account: AccountId) -> Credentials | None:
        async with self._connection() as connection:
            cursor = await connection.execute(BY_ID, (account,))
            row = await cursor.fetchone()
        if row is None:
            return None
        id, username, email, password_hash, emails, passwords = row
        return Credentials(id, username, email, password_hash, _named(emails), _named(passwords))

    async def keep_password(self, account: AccountId, id: UUID, password_hash: str) -> None:
        await self._do(KEEP_PASSWORD, (account, id, password_hash))

    async def forget_password(self, account: AccountId, id: UUID | None) -> None:
        if id is None:
            await self._do(FORGET_FIRST_PASSWORD, (account,))
        else:
            await self._do(FORGET_PASSWORD, (account, id))

    async def keep_email(self, account: AccountId, name: UUID, email: str) -> None:
        await self._do(KEEP_EMAIL, (account, name, email))

    async def forget_email(self, account: AccountId, name: UUID | None) -> None:
        if name is None:
            await self._do(FORGET_FIRST_EMAIL, (account,))
        else:
            await self._do(FORGET_EMAIL, (account, name))

    async def note_session(self, row: SessionRow) -> None:
        values = (row.session, row.account, row.user_agent, row.address, row.began_at, row.used_at)
        await self._do(NOTE_SESSION, values)

    async def sessions(self, account: AccountId) -> list[SessionRow]:
        async with self._connection() as connection:
            rows = await (await connection.execute(SESSIONS, (account,))).fetchall()
        return [SessionRow(**dict(zip(SessionRow.__struct_fields__, row, strict=True))) for row in rows]

    async def add_refresh_token(self, token: RefreshToken) -> None:
        values = (token.token_hash, token.session, token.account, token.expires_at)
        async with self._connection() as connection:
            await connection.execute(ADD_TOKEN, values)

    async def use_refresh_token(self, token_hash: bytes) -> RefreshToken | None:
        async with self._connection() as connection:
            cursor = await connection.execute(USE_TOKEN, (token_hash,))
            row = await cursor.fetchone()
        return RefreshToken(*row) if row else None

    async def end_session(self, session: SessionId) -> None:
        async with self._connection() as connection:
            await connection.execute(END_SESSION, {"session": session})
            await connection.execute(FORGET_EXPIRED)
            await connection.execute(FORGET_UNUSED)

    async def end_other_sessions(self, account: AccountId, kept: SessionId | None) -> None:
        await self._do(END_OTHERS, {"account": account, "kept": kept})

    async def _do(self, statement: LiteralString, values: Any) -> None:
        async with self._connection() as connection:
            await connection.execute(statement, values)


def _named(texts: dict[str, str] | None) -> dict[UUID, str]:
    return {UUID(name): text for name, text in (texts or {}).items()}
