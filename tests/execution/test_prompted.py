"""A prompt of a ComfyUI client is claimed as such, with what was sent along."""

from collections.abc import AsyncIterator

import pytest

from tests.execution.floor import ANN, Floor, opened
from tests.servers import Database


@pytest.fixture
async def floor(database: Database) -> AsyncIterator[Floor]:
    async with opened(database) as made:
        yield made


async def test_what_a_client_sent_along_goes_with_the_claim(floor: Floor) -> None:
    await floor.submit(ANN, prompted=True)
    claimed = await floor.claimed()
    assert (claimed.prompted, claimed.extra) == (True, None)
    assert [each.prompted for each in await floor.queue.held("of-gpu-1")] == [True]
