"""Prompts stay with the backend that has the last one of their account in its cache, while it takes them soon."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.execution.floor import ANN, BOB, LEASE, Floor, opened
from tests.servers import Database

AWHILE = timedelta(seconds=5)


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
    await floor.finish(await floor.claimed("gpu-1"))
    await floor.fold()
    return floor


async def test_a_prompt_waits_a_moment_for_the_backend_of_the_last_one(two: Floor) -> None:
    (run,) = await two.submit(ANN, prompted=True)
    assert await two.claim("gpu-2") is None
    assert (await two.claimed("gpu-1")).run == run


async def test_it_waits_no_longer_than_that(two: Floor) -> None:
    (run,) = await two.submit(ANN, prompted=True, fold=False)
    await two.fold(age=AWHILE)
    assert (await two.claimed("gpu-2")).run == run
    (then,) = await two.submit(ANN, prompted=True)  # from now on that one has it
    assert await two.claim("gpu-1") is None
    assert (await two.claimed("gpu-2")).run == then


async def test_it_does_not_wait_for_one_that_is_away(two: Floor) -> None:
    (run,) = await two.submit(ANN, prompted=True)
    await two.queue.backend_gone("gpu-1")
    assert (await two.claimed("gpu-2")).run == run


async def test_others_and_other_runs_wait_for_nobody(two: Floor) -> None:
    (his,) = await two.submit(BOB, prompted=True)
    assert (await two.claimed("gpu-2")).run == his
    (plain,) = await two.submit(ANN)
    assert (await two.claimed("gpu-2")).run == plain


async def test_what_a_client_sent_along_goes_with_the_claim(floor: Floor) -> None:
    await floor.submit(ANN, prompted=True)
    claimed = await floor.claimed()
    assert (claimed.prompted, claimed.extra) == (True, None)
    assert [each.prompted for each in await floor.queue.held("of-gpu-1")] == [True]
