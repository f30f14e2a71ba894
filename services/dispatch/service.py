"""Dispatch: answers executors, keeps the queue, sweeps. Any number of these may run."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from commands.ports import LogUnavailableError, OutcomeUnknownError
from services.dispatch.answering import Answering
from services.dispatch.folding import Folding
from services.dispatch.sweeping import Sweeping
from services.ports.dispatching import DispatchServer, QueueUnavailableError

logger = logging.getLogger(__name__)

PAUSE_S = 0.5  # before a loop that failed is begun again


async def dispatch(
    server: DispatchServer, folding: Folding, answering: Answering, sweeping: Sweeping
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
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_again("folding", folding.follow))
        tasks.create_task(_again("sweeping", sweeping.sweep_for_ever))


async def _again(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await loop()
        except (LogUnavailableError, OutcomeUnknownError, QueueUnavailableError) as error:
            logger.warning("postgres is away", extra={"loop": name, "reason": str(error)})
        except Exception:  # the outermost loop: its state is in Postgres, so beginning again loses nothing
            logger.exception("%s failed and begins again", name)
        await asyncio.sleep(PAUSE_S)
