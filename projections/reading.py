"""Queries, bound to the account that asks: Postgres itself hides what the account must not see."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from psycopg import AsyncCursor
from psycopg_pool import AsyncConnectionPool

from domain.ids import AccountId

Cursor: TypeAlias = AsyncCursor[tuple[Any, ...]]
"""Bound to an account, or to nobody. Queries take it and answer with JSON made by Postgres, as UTF-8 bytes."""

# Compiling a plan costs many times what a page takes, and Postgres would as soon as there are a million rows.
_BIND = (
    b"SELECT set_config('comfyplus.account', %s, true), set_config('comfyplus.url', %s, true), "
    b"set_config('TimeZone', 'UTC', true), set_config('transaction_read_only', 'on', true), "
    b"set_config('jit', 'off', true)"
)
_OVERSEE = b"SELECT set_config('comfyplus.administrator', 'on', true)"
_MODERATE = b"SELECT set_config('comfyplus.moderator', 'on', true)"
_PLANNED_ONCE = b"SELECT set_config('plan_cache_mode', 'force_generic_plan', true)"
_PLANNED_ANEW = b"SELECT set_config('plan_cache_mode', 'force_custom_plan', true)"


class Reader:
    """Opens account-bound cursors over a pool of the query role's connections, all in autocommit mode.

    `url`: what the addresses in answers begin with.
    """

    def __init__(self, pool: AsyncConnectionPool[Any], url: str = "") -> None:
        self._pool = pool
        self._url = url

    @asynccontextmanager
    async def for_account(
        self, account: AccountId | None, *, overseeing: bool = False, moderating: bool = False
    ) -> AsyncIterator[Cursor]:
        """What is asked inside sees what the account may see. Raises psycopg_pool.PoolTimeout, psycopg.Error.

        `overseeing`: what administrators may see, too; that the account is one is known by the caller. `moderating`:
        the same for moderators.

        A pipeline without BEGIN is one transaction up to its end, so that binding and query travel together.
        """
        async with self._pool.connection() as connection, connection.pipeline():
            cursor = connection.cursor(binary=True)
            bound = ("" if account is None else str(account), self._url)
            await cursor.execute(_BIND, bound, prepare=True)
            if overseeing:
                await cursor.execute(_OVERSEE, prepare=True)
            if moderating:
                await cursor.execute(_MODERATE, prepare=True)
            yield cursor


async def planned_once(cursor: Cursor) -> None:
    """What is asked next has one plan that is good for every question.

    Postgres would make it anew each time as soon as it hopes for a better one, which costs more than the page itself.
    """
    await cursor.execute(_PLANNED_ONCE, prepare=True)


async def planned_anew(cursor: Cursor) -> None:
    """What is asked next is planned for the values it is asked with: how many rows have them decides how it is found.

    Postgres would settle for one plan as soon as that looks no dearer, and would look everywhere for what few have.
    """
    await cursor.execute(_PLANNED_ANEW, prepare=True)


async def one(cursor: Cursor, query: bytes, parameters: dict[str, Any]) -> bytes | None:
    """The only row's document; None if there is none."""
    await cursor.execute(query, parameters, prepare=True)
    row = await cursor.fetchone()
    return None if row is None else row[0]
