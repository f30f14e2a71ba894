"""Credentials, keys and refresh tokens: what must never be in the log."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from commands.names import canonical_email, canonical_username
from commands.ports import Credentials, LogUnavailableError, RefreshToken
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
BY_LOGIN = """
SELECT account, username, email, password_hash FROM work.credentials
WHERE username_key = %s OR email_key = %s ORDER BY created_at LIMIT 10
"""
BY_ID = "SELECT account, username, email, password_hash FROM work.credentials WHERE account = %s"
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
END_SESSION = "DELETE FROM work.refresh_tokens WHERE session = %s"
FORGET_EXPIRED = "DELETE FROM work.refresh_tokens WHERE expires_at < now()"


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

    async def by_login(self, login: str) -> list[Credentials]:
        async with self._connection() as connection:
            cursor = await connection.execute(BY_LOGIN, (canonical_username(login), canonical_email(login)))
            return [Credentials(*row) for row in await cursor.fetchall()]

    async def by_id(self, account: AccountId) -> Credentials | None:
        async with self._connection() as connection:
            cursor = await connection.execute(BY_ID, (account,))
            row = await cursor.fetchone()
        return Credentials(*row) if row else None

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
            await connection.execute(END_SESSION, (session,))
            await connection.execute(FORGET_EXPIRED)
