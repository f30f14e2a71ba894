"""Lists stay as fast as they are, however much there is: a page reads about as many rows as it shows."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from bench.crowd import FEW, MANY, NEWCOMER, parts, settle
from domain.ids import AccountId
from projections.catalogue import PROJECTIONS
from projections.paging import STRETCH
from tests.projections.ground import connecting
from tests.projections.lists import LISTS, Listed
from tests.servers import Database

ROWS = 20_000
PAGE = 20
SHOWN = 1_000  # rows that any part of a page reads: a few for each that it shows
SLACK = 300  # beside a stretch


class Explaining:
    """A cursor that asks each query twice: for its plan, and for what it answers."""

    def __init__(self, cursor: psycopg.AsyncCursor[Any]) -> None:
        self._cursor = cursor
        self.plan: dict[str, Any] = {}

    async def execute(self, query: bytes, parameters: Any = None, **_: Any) -> None:
        if b"set_config" not in query:
            await self._cursor.execute(b"EXPLAIN (ANALYZE, TIMING off, FORMAT JSON) " + query, parameters)
            ((found,),) = await self._cursor.fetchall()
            self.plan = found[0]["Plan"]
        await self._cursor.execute(query, parameters)

    async def fetchone(self) -> Any:
        return await self._cursor.fetchone()


def read(plan: dict[str, Any]) -> Iterator[tuple[float, str]]:
    """How many rows each part of a plan has read, and what it is."""
    names = ("Rows Removed by Filter", "Rows Removed by Index Recheck", "Rows Removed by Join Filter")
    rows = plan["Actual Rows"] + sum(plan.get(name, 0) for name in names)
    yield rows * plan["Actual Loops"], f"{plan['Node Type']} {plan.get('Relation Name', '')}"
    for part in plan.get("Plans", ()):
        yield from read(part)


async def ask(
    connection: AsyncConnection[Any], listed: Listed, account: AccountId, after: str | None
) -> tuple[dict[str, Any], tuple[float, str], bool]:
    """A page, the most that a part of it has read, and whether it looks at a stretch."""
    async with connection.transaction():
        cursor = connection.cursor()
        await cursor.execute(
            """SELECT set_config('comfyplus.account', %s, true), set_config('comfyplus.url', '', true),
                set_config('comfyplus.administrator', 'on', true), set_config('comfyplus.moderator', 'on', true)"""
            if listed.rights
            else "SELECT set_config('comfyplus.account', %s, true), set_config('comfyplus.url', '', true)",
            (str(account),),
        )
        explaining = Explaining(cursor)
        body = await listed.ask(explaining, account, PAGE, after)  # type: ignore[arg-type]  # as far as queries know
        stretching = f"OFFSET {STRETCH - 1}" in (cursor._query.query.decode() if cursor._query else "")
    return json.loads(body), max(read(explaining.plan)), stretching


@pytest.fixture
async def crowded(database: Database) -> Database:
    for name in parts():
        await settle(PROJECTIONS[name], connecting(database), ROWS)
    return database


async def test_a_page_of_any_list_reads_what_it_shows_and_no_more(crowded: Database) -> None:
    slow = []
    url = crowded.url_of("comfyplus_query")
    async with await AsyncConnection.connect(url, autocommit=True, prepare_threshold=None) as connection:
        for name, listed in LISTS.items():
            for account in (MANY, FEW, NEWCOMER):
                for after in (None, listed.middle(ROWS)):
                    _, (most, part), stretching = await ask(connection, listed, account, after)
                    if most > (STRETCH + SLACK if stretching else SHOWN):
                        slow.append(f"{name}: {part} read {most:.0f} rows for {account.int}, {after}")
    assert not slow, "\n".join(slow)
