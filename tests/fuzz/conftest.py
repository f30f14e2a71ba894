"""A whole that may be filled with nonsense: nobody else's tests ask it anything."""

from collections.abc import Iterator

import pytest

from tests.http.whole import Whole, whole
from tests.servers import copied, running_nats


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
