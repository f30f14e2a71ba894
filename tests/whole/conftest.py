"""One running whole for all tests of the folder: what it has survived so far is part of the next test."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.whole.people import Account, Person, joined, misbehave, person
from tests.whole.whole import Whole, running


@pytest.fixture(scope="package")
def lasting_whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with running(tmp_path_factory.mktemp("whole") / "data with a space") as whole:
        yield whole


@pytest.fixture(scope="package")
def ann_of_whole(lasting_whole: Whole) -> Account:
    return asyncio.run(joined(lasting_whole.url))


@pytest.fixture
async def whole(lasting_whole: Whole) -> AsyncIterator[Whole]:
    lasting_whole.revive()
    yield lasting_whole
    await misbehave(lasting_whole.sandbox_url)


@pytest.fixture
async def ann(whole: Whole, ann_of_whole: Account) -> AsyncIterator[Person]:
    async with person(whole.url, ann_of_whole) as somebody:
        yield somebody
