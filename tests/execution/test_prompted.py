"""Prompts stay with the backend that has the last one of their account in its cache, while it takes them soon."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.backend_table import PostgresBackendTable
from adapters.postgres.queue import PostgresQueue
from domain.ids import AccountId
from services.dispatch.rousing import Rousing
from services.ports.dispatching import Kept
from tests.execution.floor import ANN, BOB, LEASE, LONG_AGO, Floor, opened
from tests.execution.test_dispatch import Line, beside
from tests.servers import Database

AWHILE = timedelta(seconds=5)


class _Line(Line):
    """A line to executors. Knows whether they were woken."""

    def __init__(self) -> None:
        super().__init__()
        self.woken = asyncio.Event()

    async def wake(self) -> None:
        self.woken.set()


class _Looked(PostgresQueue):
    """Knows whether anybody has asked what waits, and was told."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        super().__init__(pool)
        self.looked = asyncio.Event()

    async def waiting(self) -> bool:
        waiting = await super().waiting()
        asyncio.get_running_loop().call_soon(self.looked.set)
        return waiting


@pytest.fixture
async def floor(database: Database) -> AsyncIterator[Floor]:
    async with opened(database) as made:
        yield made


@pytest.fixture
async def two(floor: Floor) -> Floor:
    """Of two backends, `gpu-1` has served Ann's last prompt."""
    for name in ("gpu-1", "gpu-2"):
        await floor.queue.see_backend(name, f"of-{name}", True, datetime.now(UTC) + LEASE)
    await floor.submit(ANN, prompted=True)
    await floor.finish(await floor.claimed("gpu-1"), 0.1)
    return floor


async def test_a_prompt_waits_a_moment_for_the_backend_of_the_last_one(two: Floor) -> None:
    (run,) = await two.submit(ANN, prompted=True)
    kept = await two.ask("gpu-2")
    assert isinstance(kept, Kept)
    assert 0 < kept.for_s <= 1
    assert (await two.claimed("gpu-1")).run == run
    assert await two.ask("gpu-2") is None


async def test_it_waits_no_longer_than_that(two: Floor) -> None:
    (run,) = await two.submit(ANN, prompted=True, fold=False)
    await two.fold(age=AWHILE)
    claimed = await two.claimed("gpu-2")
    assert claimed.run == run
    await two.finish(claimed, 0.1)
    (then,) = await two.submit(ANN, prompted=True)  # from now on that one has it
    assert isinstance(await two.ask("gpu-1"), Kept)
    assert (await two.claimed("gpu-2")).run == then


async def test_it_does_not_wait_for_one_that_is_away(two: Floor) -> None:
    (run,) = await two.submit(ANN, prompted=True)
    await two.queue.backend_gone("gpu-1")
    assert (await two.claimed("gpu-2")).run == run


async def test_it_does_not_wait_for_one_that_has_fallen_silent(two: Floor) -> None:
    (run,) = await two.submit(ANN, prompted=True)
    await two.queue.see_backend("gpu-1", "of-gpu-1", True, LONG_AGO)
    assert (await two.claimed("gpu-2")).run == run


async def test_it_does_not_wait_for_one_that_is_busy_for_longer(two: Floor) -> None:
    await two.submit(ANN, prompted=True)
    await two.finish(await two.claimed("gpu-1"), 60)
    await two.submit(ANN, prompted=True)
    await two.claimed("gpu-1")  # which is thought to take as long as her last ones
    (run,) = await two.submit(ANN, prompted=True)
    assert (await two.claimed("gpu-2")).run == run


async def test_it_waits_for_one_that_will_soon_have_done(two: Floor) -> None:
    await two.submit(ANN, prompted=True)
    await two.claimed("gpu-1")
    (run,) = await two.submit(ANN, prompted=True)
    assert isinstance(await two.ask("gpu-2"), Kept)
    assert (await two.claimed("gpu-1")).run == run


@pytest.mark.parametrize(("owner", "prompted"), [(BOB, True), (BOB, False), (ANN, False)])
async def test_it_does_not_wait_for_one_whose_cache_is_of_another_run(
    two: Floor, owner: AccountId, prompted: bool
) -> None:
    await two.submit(owner, prompted=prompted)
    await two.finish(await two.claimed("gpu-1"), 0.1)
    (run,) = await two.submit(ANN, prompted=True)
    assert (await two.claimed("gpu-2")).run == run


async def test_it_does_not_wait_for_one_that_has_not_what_it_needs(two: Floor) -> None:
    table = PostgresBackendTable(two.pool)
    await table.take_stock("gpu-1", "its", ["checkpoints/a"])
    await table.take_stock("gpu-2", "its", ["checkpoints/b"])
    (run,) = await two.submit(ANN, prompted=True, model="b")
    assert (await two.claimed("gpu-2")).run == run


async def test_what_was_lost_once_waits_for_nobody(two: Floor) -> None:
    (run,) = await two.submit(ANN, prompted=True)
    await two.lose(await two.claimed("gpu-1"))
    assert (await two.claimed("gpu-2")).run == run


async def test_others_and_other_runs_wait_for_nobody(two: Floor) -> None:
    (his,) = await two.submit(BOB, prompted=True)
    assert (await two.claimed("gpu-2")).run == his
    (plain,) = await two.submit(ANN)
    assert (await two.claimed("gpu-2")).run == plain


async def test_behind_a_prompt_that_waits_other_runs_go_on(two: Floor) -> None:
    (prompt,) = await two.submit(ANN, prompted=True, priority=9)
    (plain,) = await two.submit(ANN)
    assert (await two.claimed("gpu-2")).run == plain
    assert (await two.claimed("gpu-1")).run == prompt


async def test_who_waits_for_a_backend_loses_no_turn_by_it(two: Floor) -> None:
    """What others get meanwhile does not count as if one had not been there."""
    await two.submit(BOB, 3)
    await two.finish(await two.claimed("gpu-2"), 30)
    await two.submit(ANN, prompted=True)
    before = await _served(two, ANN)
    assert (await two.claimed("gpu-2")).owner == BOB
    assert (await two.claimed("gpu-1")).owner == ANN
    assert await _served(two, ANN) - before <= 1_000_000  # the run itself, and no time of Bob's


async def test_who_asks_in_vain_is_woken_when_the_moment_is_over(two: Floor) -> None:
    line = _Line()
    rousing = Rousing(two.queue, line)
    async with beside(rousing.rouse_for_ever()):
        (run,) = await two.submit(ANN, prompted=True)
        kept = await two.ask("gpu-2")
        assert isinstance(kept, Kept)
        rousing.rouse_in(60)
        rousing.rouse_in(kept.for_s)
        async with asyncio.timeout(10):
            await line.woken.wait()
        assert (await two.claimed("gpu-2")).run == run


async def test_nobody_is_woken_for_what_has_been_taken(two: Floor) -> None:
    line, queue = _Line(), _Looked(two.pool)
    rousing = Rousing(queue, line)
    async with beside(rousing.rouse_for_ever()):
        rousing.rouse_in(0)
        async with asyncio.timeout(10):
            await queue.looked.wait()
    assert not line.woken.is_set()


async def test_what_a_client_sent_along_goes_with_the_claim(floor: Floor) -> None:
    await floor.submit(ANN, prompted=True)
    claimed = await floor.claimed()
    assert (claimed.prompted, claimed.extra) == (True, None)
    assert [each.prompted for each in await floor.queue.held("of-gpu-1")] == [True]


async def _served(floor: Floor, owner: AccountId) -> int:
    """What an account has had of the shared pool, in microseconds."""
    ((had,),) = [(row[3],) for row in (await floor.tables())["shares"] if row[1] == owner]
    return int(had)
