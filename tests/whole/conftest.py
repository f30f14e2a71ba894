"""One running whole for all tests of a process: what it has survived so far is part of the next test."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.whole.people import Person, misbehave, person
from tests.whole.whole import Whole, running


@pytest.fixture(scope="session")
def lasting_whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with running(tmp_path_factory.mktemp("whole") / "data with a space") as whole:
        yield whole


@pytest.fixture
async def whole(lasting_whole: Whole) -> AsyncIterator[Whole]:
    yield lasting_whole
    await misbehave(lasting_whole.sandbox_url)


@pytest.fixture
async def ann(whole: Whole) -> AsyncIterator[Person]:
    """Somebody who has done nothing yet."""
    async with person(whole.url) as somebody:
        yield somebody
