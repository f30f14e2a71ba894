"""The log in its two forms."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from psycopg_pool import AsyncConnectionPool

from adapters.memory.log import MemoryLog
from adapters.postgres.log import WAITING, PostgresLog
from adapters.postgres.tail import PostgresTail
from domain.catalogue import CATALOGUE, Catalogue
from tests.log.ground import Logs, now
from tests.servers import Database

APP = "comfyplus_app"


def open_pool(url: str) -> AsyncConnectionPool:
    return AsyncConnectionPool(
        url, min_size=1, max_size=4, open=False, timeout=5, kwargs={"autocommit": True}
    )


@asynccontextmanager
async def postgres_logs(
    database: Database, catalogue: Catalogue = CATALOGUE, *, waiting_limit: int = WAITING
) -> AsyncIterator[Logs]:
    url = database.url_of(APP)
    async with (
        open_pool(url) as pool,
        PostgresLog(url, pool, catalogue, waiting_limit=waiting_limit) as log,
        PostgresTail(url) as tail,
    ):
        yield Logs(log, tail)


def memory_logs() -> Any:
    log = MemoryLog(now)

    @asynccontextmanager
    async def opened(catalogue: Catalogue = CATALOGUE) -> AsyncIterator[Logs]:
        log.catalogue = catalogue
        yield Logs(log, log)

    return opened


@pytest.fixture(params=["memory", "postgres"])
def opened(request: pytest.FixtureRequest) -> Any:
    """A function that opens an empty log, or the same one again with another catalogue."""
    if request.param == "memory":
        return memory_logs()
    database: Database = request.getfixturevalue("database")
    return lambda catalogue=CATALOGUE: postgres_logs(database, catalogue)


@pytest.fixture
async def logs(opened: Any) -> AsyncIterator[Logs]:
    async with opened() as both:
        yield both
