"""A whole that may be filled with nonsense: nobody else's tests ask it anything."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http.whole import Whole, whole
from tests.servers import copied, running_nats


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where these are not asked for they are not even loaded: to know all routes takes seconds."""
    return True if "not fuzz" in config.option.markexpr else None


@pytest.fixture(scope="package")
def served(
    postgres_url: str, database_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Whole]:
    folder = tmp_path_factory.mktemp("fuzz")
    with (
        copied(postgres_url, database_template) as database,
        running_nats(folder / "nats") as nats,
        whole(database, nats, folder / "data", wrong_attempts=0) as running,
    ):
        yield running
