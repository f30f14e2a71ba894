"""Fixtures of the webhooks' tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.servers import Database
from tests.webhooks.ground import Ground, grounded
from tests.webhooks.receiver import Receiver, receiving


@pytest.fixture
async def ground(database: Database, tmp_path: Path) -> AsyncIterator[Ground]:
    async with grounded(database, tmp_path) as made:
        yield made


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made
