"""Fixtures every test may ask for, and how tests are spread over workers."""

import os
import sys
from typing import Any

import pytest

from tests.s3 import s3_server
from tests.scheduling import turn
from tests.servers import database, database_template, fresh_nats, nats_server, postgres_url
from tests.terminal import terminal

__all__ = [
    "database",
    "database_template",
    "fresh_nats",
    "nats_server",
    "postgres_url",
    "s3_server",
    "terminal",
]

# What is compiled is kept, whatever the environment says: tests start hundreds of processes.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: turn(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadgroup`."""
    if config.getoption("dist") != "loadgroup":
        return None
    from tests.scheduling import ByScope

    return ByScope(config, log)
