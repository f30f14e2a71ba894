"""Fixtures every test may ask for, and how tests are spread over workers."""

import asyncio
import gc
import os
import sys
from typing import Any

import pytest
import uvloop

from tests.memory import keep_in_memory
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

keep_in_memory()

# Nothing of what is loaded and collected is ever let go, and looking through it takes as long as many tests do.
gc.disable()
GARBAGE = 20_000  # objects, as in our processes

if sys.version_info < (3, 14):  # later Pythons have another way, which would name the loop in each test's id
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # the loop that our processes run on


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: turn(item.nodeid))


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE)
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadgroup`."""
    if config.getoption("dist") != "loadgroup":
        return None
    from tests.scheduling import ByScope

    return ByScope(config, log)
