"""Queries, bound to the account that asks: Postgres itself hides what the account must not see."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from psycopg import AsyncCursor
from psycopg_pool import AsyncConnectionPool

from domain.ids import AccountId

Cursor: TypeAlias = AsyncCursor[tuple[Any, ...]]
"""Bound to an account, or to nobody. Queries take it and answer with JSON made by Postgres, as UTF-8 bytes."""

# A page is a short walk along an index, with little looked up beside: that is how it is read whatever Postgres believes
# to know of the sizes, also by a plan that was made while there was next to nothing and is kept for days. To compile it
# or to share it among processes costs many times what it takes, and Postgres would as soon as there are a million rows.
_WALKING = {"plan_cache_mode": "force_generic_plan"} | dict.fromkeys(
    ("enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin"), "off"
)
_SEARCHING = dict.fromkeys(_WALKING, "on") | {"plan_cache_mode": "force_custom_plan"}
_ALWAYS = {
    "TimeZone": "UTC",
    "transaction_read_only": "on",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}


def _set(settings: Mapping[str, str]) -> str:
    return ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())


_BIND = f"""SELECT set_config('comfyplus.account', %s, true), set_config('comfyplus.url', %s, true),
{_set(_ALWAYS | _WALKING)}""".encode()
_OVERSEE = b"SELECT set_config('comfyplus.administrator', 'on', true)"
_MODERATE = b"SELECT set_config('comfyplus.moderator', 'on', true)"
_PLANNED_ANEW = f"SELECT {_set(_SEARCHING)}".encode()


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

        What is asked has one plan for all values, unless it is `planned_anew`; to plan costs more than a page.

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


async def planned_anew(cursor: Cursor) -> None:
    """What is asked next is planned for the values it is asked with, in any way that Postgres knows.

    For what is searched or summed up: there, how many rows have the values decides how they are found.
    """
    await cursor.execute(_PLANNED_ANEW, prepare=True)


async def one(cursor: Cursor, query: bytes, parameters: dict[str, Any]) -> bytes | None:
    """The only row's document; None if there is none."""
    await cursor.execute(query, parameters, prepare=True)
    row = await cursor.fetchone()
    return None if row is None else row[0]
