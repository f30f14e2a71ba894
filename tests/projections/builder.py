"""A process to be killed: it follows the log, or does what was asked for, in small steps so that a kill finds it busy.

`python -m tests.projections.builder follow|rebuild URL`, the URL being comfyplus_project's.
"""

import asyncio
import logging
import os
import sys
from typing import Any

from psycopg import AsyncConnection

from projections import overtaking, rebuild
from projections.rebuilding import Rebuilding
from projections.runner import Runner
from tests.projections.ground import ALL, PROJECTIONS, Channel

rebuild.BULK_PAGE = 500
rebuild.MEMORY_ROWS = int(os.environ.get("BULK_ROWS", "4000"))
overtaking.BATCH = 400


async def main(what: str, url: str) -> None:
    async def connect() -> AsyncConnection[Any]:
        return await AsyncConnection.connect(url, autocommit=True)

    form = "%(message)s %(projection)s %(position)s %(reason)s"
    told = logging.StreamHandler()
    told.setFormatter(logging.Formatter(form, defaults={"projection": "", "position": "", "reason": ""}))
    logging.basicConfig(handlers=[told], level=logging.ERROR)
    print("ready", flush=True)
    if what == "follow":
        await Runner(ALL, connect, Channel()).run()
    else:
        await Rebuilding(PROJECTIONS, connect).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
