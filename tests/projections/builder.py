"""A process to be killed: it follows the log, or rebuilds, in small steps so that a kill finds it busy."""

import asyncio
import logging
from multiprocessing.connection import Connection
from typing import Any

from psycopg import AsyncConnection

from projections import overtaking, rebuild
from projections.rebuilding import Rebuilding
from projections.runner import Runner
from tests.projections.ground import ALL, PROJECTIONS, Channel


def work(what: str, url: str, bulk_rows: int, ready: "Connection[None, None]") -> None:
    """`what`: follow or rebuild; the URL is comfyplus_project's."""
    rebuild.BULK_PAGE = 500
    rebuild.MEMORY_ROWS = bulk_rows
    overtaking.BATCH = 400
    form = "%(message)s %(projection)s %(position)s %(reason)s"
    told = logging.StreamHandler()
    told.setFormatter(logging.Formatter(form, defaults={"projection": "", "position": "", "reason": ""}))
    logging.basicConfig(handlers=[told], level=logging.ERROR)
    ready.send(None)
    asyncio.run(_follow(url) if what == "follow" else _rebuild(url))


async def _follow(url: str) -> None:
    await Runner(ALL, lambda: _connect(url), Channel()).run()


async def _rebuild(url: str) -> None:
    await Rebuilding(PROJECTIONS, lambda: _connect(url)).run()


async def _connect(url: str) -> AsyncConnection[Any]:
    return await AsyncConnection.connect(url, autocommit=True)
