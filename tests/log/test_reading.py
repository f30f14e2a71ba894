"""Questions over a wire: values there and back, faults, and a server that dies."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest
import uvloop

from adapters.postgres.reading import Reading
from commands.ports import LogUnavailableError
from tests.log.conftest import APP
from tests.log.dying import dying_server
from tests.servers import Database

ECHO = b"SELECT $1::bigint, $2::uuid, $3::text[], $4::timestamptz"
PART = b"SELECT 10 / $1::bigint"
STEPS = b"SELECT n, NULL FROM generate_series(1, $1::bigint) AS n"


@pytest.fixture
async def reading(database: Database) -> AsyncIterator[Reading]:
    opened = Reading(database.url_of(APP))
    yield opened
    await opened.close()


async def test_what_is_asked_comes_back_as_it_went(reading: Reading) -> None:
    id, at = uuid4(), datetime(2026, 11, 30, 21, 0, 0, 123456, UTC)
    for number in (-1, 0, 2**62):
        assert await reading.ask(ECHO, number, id, "{a,b}", at) == [(number, id, ["a", "b"], at)]


async def test_many_may_ask_at_once_and_each_gets_its_own_answer(reading: Reading) -> None:
    answers = await asyncio.gather(*(reading.ask(STEPS, number) for number in range(20)))
    assert [[n for n, _ in rows] for rows in answers] == [list(range(1, number + 1)) for number in range(20)]


async def test_a_fault_is_told_to_whoever_asked_and_to_nobody_else(reading: Reading) -> None:
    for _ in range(2):  # the first time it is prepared along with it
        bad, good = await asyncio.gather(reading.ask(PART, 0), reading.ask(PART, 5), return_exceptions=True)
        assert isinstance(bad, psycopg.errors.DivisionByZero)
        assert good == [(2,)]
    with pytest.raises(psycopg.errors.UndefinedTable):
        await reading.ask(b"SELECT 1 FROM nowhere")


async def test_whoever_leaves_takes_nobody_elses_answer_along(reading: Reading) -> None:
    left = asyncio.ensure_future(reading.ask(b"SELECT 1 FROM pg_sleep(0.05)"))
    stays = asyncio.ensure_future(reading.ask(STEPS, 1))
    await asyncio.sleep(0)
    left.cancel()
    assert await stays == [(1, None)]
    with pytest.raises(asyncio.CancelledError):
        await left


def test_a_server_that_dies_over_a_question_is_asked_again_over_a_new_connection(database: Database) -> None:
    async def ask_a_dying_server() -> None:
        with dying_server(database.url_of(APP)) as (url, die_at_the_next_command):
            reading = Reading(url)
            async with asyncio.timeout(20):
                assert await reading.ask(PART, 2) == [(5,)]
                die_at_the_next_command()
                with pytest.raises(LogUnavailableError):
                    await reading.ask(PART, 2)
                assert await reading.ask(PART, 5) == [(2,)]
            await reading.close()

    uvloop.run(ask_a_dying_server())
