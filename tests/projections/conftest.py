"""The log of a test's database, as a fixture."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.projections.ground import Books
from tests.servers import Database


@pytest.fixture
def books(database: Database) -> Iterator[Books]:
    with closing(Books(database)) as books:
        yield books
