"""Lists stay as fast as they are, however much there is: a page reads about as many rows as it shows."""

from collections.abc import Sequence

import psycopg
import pytest

from bench.crowd import FEW, MANY, NEWCOMER, join, parts, settle
from domain.ids import AccountId
from projections.catalogue import PROJECTIONS
from projections.paging import STRETCH
from projections.reading import Reader
from tests.projections.explaining import explained, one_reader, read
from tests.projections.ground import connecting, live_schema
from tests.projections.lists import LISTS
from tests.servers import Database

ROWS = 20_000
PAGE = 20
SHOWN = 1_000  # rows that any part of a page reads: a few for each that it shows
SLACK = 300  # beside a stretch
SEARCHED = {"gallery": "gallery_words", "shared_outputs": "shared_words", "people": "people"}


@pytest.fixture
async def crowded(database: Database) -> Database:
    for name in parts():
        await settle(PROJECTIONS[name], connecting(database), ROWS)
    return database


@pytest.fixture
async def empty(database: Database) -> Database:
    for name in parts():
        await settle(PROJECTIONS[name], connecting(database), 0)
    return database


async def test_a_page_of_any_list_reads_what_it_shows_and_no_more(crowded: Database) -> None:
    async with one_reader(crowded) as reader:
        assert not (slow := await _slow(reader)), "\n".join(slow)


async def test_a_plan_made_while_there_was_nothing_is_right_when_there_is_much(empty: Database) -> None:
    async with one_reader(empty) as reader:
        for listed in LISTS.values():
            await explained(reader, listed, FEW, PAGE, None)
        for name in parts():
            await join(PROJECTIONS[name], connecting(empty), ROWS)
        _count_what_is_searched(empty)
        assert not (slow := await _slow(reader, (FEW,))), "\n".join(slow)


def _count_what_is_searched(database: Database) -> None:
    """How to search depends on what there is: that, and that only, Postgres has to know."""
    with psycopg.connect(database.url_of("comfyplus_project")) as connection:
        for name, table in SEARCHED.items():
            connection.execute(f"ANALYZE {live_schema(connection, name)}.{table}".encode())


async def _slow(reader: Reader, accounts: Sequence[AccountId] = (MANY, FEW, NEWCOMER)) -> list[str]:
    """What reads too much, or has other processes read for it."""
    found = []
    for name, listed in LISTS.items():
        for account in accounts:
            for after in (None, listed.middle(ROWS)):
                _, explaining = await explained(reader, listed, account, PAGE, after)
                for rows, part in read(explaining.plan):
                    if rows > (STRETCH + SLACK if explaining.stretching else SHOWN) or "Gather" in part:
                        found.append(f"{name}: {part} read {rows:.0f} rows for {account.int}, {after}")
    return found
