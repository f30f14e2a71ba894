"""Dispatch: answers executors, keeps the queue, sweeps. Any number of these may run."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from commands.ports import LogUnavailableError, OutcomeUnknownError
from services.dispatch.answering import Answering
from services.dispatch.folding import Folding
from services.dispatch.rousing import Rousing
from services.dispatch.sweeping import Sweeping
from services.ports.dispatching import DispatchServer, QueueUnavailableError

logger = logging.getLogger(__name__)

AGAIN_S = 0.1
PAUSE_S = 0.5  # before a loop that failed is begun again


async def dispatch(
    server: DispatchServer, folding: Folding, answering: Answering, sweeping: Sweeping, rousing: Rousing
) -> None:
    """Run until cancelled."""
    await server.serve(
        {
            "claim": answering.claim,
            "open": answering.open,
            "beat": answering.beat,
            "report": answering.report,
            "stock": answering.stock,
        }
    )
    await side_by_side(
        _again("folding", folding.follow),
        _again("sweeping", sweeping.sweep_for_ever),
        _again("rousing", rousing.rouse_for_ever),
    )


async def side_by_side(*loops: Coroutine[Any, Any, None]) -> None:
    """Run them until cancelled, or until one fails.

    A task group tells its tasks once that they are to stop, and whoever waits by asyncio.wait_for, as psycopg does,
    may miss that once: here they are told until they have stopped.
    """
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        while running := [task for task in tasks if not task.done()]:
            for task in running:
                task.cancel()
            with suppress(asyncio.CancelledError):  # told once more: the first time is on its way out
                await asyncio.wait(running, timeout=AGAIN_S)
    for task in tasks:
        if not task.cancelled():
            task.result()


async def _again(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await loop()
        except (LogUnavailableError, OutcomeUnknownError, QueueUnavailableError) as error:
            logger.warning("postgres is away", extra={"loop": name, "reason": str(error)})
        except Exception:  # the outermost loop: its state is in Postgres, so beginning again loses nothing
            logger.exception("%s failed and begins again", name)
        await asyncio.sleep(PAUSE_S)
