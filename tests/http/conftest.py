"""One whole for all tests of the door; people of one's own for each."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.http.person import Person, joined, somebody
from tests.http.whole import Whole, show, whole
from tests.servers import copied, running_nats


@pytest.fixture(scope="session")
def shown_template(postgres_url: str, database_template: str) -> Iterator[str]:
    """The name of a database in which every read model is there already."""
    with copied(postgres_url, database_template) as made:
        asyncio.run(show(made))
        yield made.name


@pytest.fixture(scope="package")
def served(
    postgres_url: str, shown_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Whole]:
    folder = tmp_path_factory.mktemp("http")
    with (
        copied(postgres_url, shown_template) as database,
        running_nats(folder / "nats") as nats,
        whole(database, nats, folder / "data") as running,
    ):
        yield running


@pytest.fixture
async def ann(served: Whole) -> AsyncIterator[Person]:
    async with joined(served) as person:
        yield person


@pytest.fixture
async def bob(served: Whole) -> AsyncIterator[Person]:
    async with joined(served) as person:
        yield person


@pytest.fixture
async def nobody(served: Whole) -> AsyncIterator[Person]:
    async with somebody(served) as person:
        yield person


@pytest.fixture
def own(postgres_url: str, shown_template: str, tmp_path: Path) -> Iterator[Whole]:
    """A whole of the test's own."""
    with (
        copied(postgres_url, shown_template) as database,
        running_nats(tmp_path / "nats") as nats,
        whole(database, nats, tmp_path / "data") as running,
    ):
        yield running
