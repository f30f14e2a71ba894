"""How many runs an account may have waiting: on a real PostgreSQL, by requests that come at the same moment."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.admissions import PostgresAdmissions
from domain import limits
from domain.ids import AccountId, RunId
from domain.limits import Allowance, LimitReached, Quota, Standing
from domain.run import SHARED
from infra.wiring import new_id
from tests.execution.floor import ANN, BOB, Floor, opened
from tests.servers import Database

USUAL = Allowance(queued=5, runs_per_day=8, run_s_per_day=60)


class Doors:
    """Some API processes' worth of admissions over one database."""

    def __init__(
        self, floor: Floor, pool: AsyncConnectionPool[object], all: Sequence[PostgresAdmissions]
    ) -> None:
        self.floor = floor
        self.pool = pool
        self.all = all

    async def ask(
        self, owner: AccountId, runs: Sequence[RunId] | None = None, *, pool: str = SHARED, door: int = 0
    ) -> Sequence[Quota]:
        asked = runs or [RunId(uuid4())]

        def decide(standing: Standing) -> Sequence[Quota]:
            return limits.admit(standing, runs=len(asked), now=datetime.now(UTC))

        return await self.all[door % 3].admit(owner, pool, asked, decide)

    async def crowd(self, owner: AccountId, size: int, *, pool: str = SHARED) -> int:
        """So many at once: how many were let in."""
        asked = (self.ask(owner, pool=pool, door=number) for number in range(size))
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(each, LimitReached) for each in outcomes if isinstance(each, BaseException))
        return sum(not isinstance(each, BaseException) for each in outcomes)

    async def age(self, by: timedelta) -> None:
        async with self.pool.connection() as connection:
            await connection.execute("UPDATE work.admissions SET at = at - %s", (by,))


@pytest.fixture
async def doors(database: Database) -> AsyncIterator[Doors]:
    async with (
        opened(database) as floor,
        AsyncConnectionPool(
            database.url, min_size=1, max_size=6, open=False, kwargs={"autocommit": True}
        ) as pool,
        AsyncExitStack() as stack,
    ):
        doors = [PostgresAdmissions(database.url, pool, USUAL) for _ in range(3)]
        yield Doors(floor, pool, [await stack.enter_async_context(each) for each in doors])


async def test_requests_at_the_same_moment_are_let_in_up_to_the_limit(doors: Doors) -> None:
    assert await doors.crowd(ANN, 40) == 5
    assert await doors.crowd(BOB, 3) == 3
    assert await doors.crowd(BOB, 30) == 2


async def test_runs_that_wait_count_as_those_that_were_let_in_just_now(doors: Doors) -> None:
    ids = [RunId(new_id()) for _ in range(3)]
    await doors.ask(ANN, ids)
    await doors.floor.submit(ANN, 3)
    assert await doors.crowd(ANN, 10) == 0  # three wait, and three were let in and never came
    await doors.all[0].release(ids)
    assert await doors.crowd(ANN, 10) == 2


async def test_a_run_that_was_submitted_counts_once(doors: Doors) -> None:
    run = RunId(new_id())
    await doors.ask(ANN, [run])
    await doors.floor.submit(ANN, ids=[run])

    (queued, daily, _) = await doors.ask(ANN)
    assert (queued.left, daily.left) == (3, 6)


async def test_one_that_was_let_in_and_never_came_counts_for_a_minute(doors: Doors) -> None:
    assert await doors.crowd(ANN, 9) == 5
    await doors.age(timedelta(seconds=61))
    assert await doors.crowd(ANN, 9) == 5


async def test_one_that_came_counts_however_late_it_is_folded(doors: Doors) -> None:
    run = RunId(new_id())
    await doors.ask(ANN, [run])
    await doors.floor.submit(ANN, ids=[run], fold=False)
    await doors.age(timedelta(hours=1))

    assert await doors.crowd(ANN, 9) == 4


async def test_many_runs_by_one_wish_are_let_in_all_or_none(doors: Doors) -> None:
    await doors.ask(ANN, [RunId(uuid4()) for _ in range(3)])
    with pytest.raises(LimitReached):
        await doors.ask(ANN, [RunId(uuid4()) for _ in range(3)])
    await doors.ask(ANN, [RunId(uuid4()) for _ in range(2)])


async def test_a_day_has_its_limits(doors: Doors) -> None:
    await doors.floor.submit(ANN, 4)
    for _ in range(4):
        await doors.floor.finish(await doors.floor.claimed(), 5)
    await doors.floor.submit(ANN, 3)
    assert await doors.crowd(ANN, 9) == 1  # the eighth of the day
    with pytest.raises(LimitReached, match="8 runs a day") as refused:
        await doors.ask(ANN)
    assert 0 < refused.value.retry_after_s <= 24 * 3600


async def test_a_day_has_its_seconds(doors: Doors) -> None:
    await doors.floor.submit(ANN)
    await doors.floor.finish(await doors.floor.claimed(), 61)
    with pytest.raises(LimitReached, match="60 seconds a day"):
        await doors.ask(ANN)
    assert await doors.ask(BOB)


async def test_what_an_account_was_given_goes_before_what_all_have(doors: Doors) -> None:
    await doors.floor.give(ANN, queued=7)

    assert await doors.crowd(ANN, 20) == 7


async def test_a_pool_that_is_full_lets_nobody_in(doors: Doors) -> None:
    await doors.floor.set_pool("studio", queued=3)
    assert await doors.crowd(ANN, 4, pool="studio") == 3
    assert await doors.crowd(BOB, 4, pool="studio") == 0
    assert await doors.crowd(BOB, 4) == 4


async def test_a_decision_that_fails_lets_nobody_in_and_holds_up_nobody(doors: Doors) -> None:
    def decide(standing: Standing) -> Sequence[Quota]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await doors.all[0].admit(ANN, SHARED, [RunId(uuid4())], decide)
    assert await doors.crowd(ANN, 9) == 5


async def test_a_connection_that_was_lost_is_opened_anew(doors: Doors) -> None:
    await doors.ask(ANN)
    async with doors.pool.connection() as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE query = 'COMMIT' AND datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert await doors.crowd(ANN, 9) == 4
