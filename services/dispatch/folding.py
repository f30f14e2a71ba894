"""Keeps the queue's table up to date with the log, and says so to executors."""

import asyncio
import logging

from domain.event import topic
from domain.ids import Position
from domain.run import (
    OutputStored,
    RunAttemptLost,
    RunCancelled,
    RunClaimed,
    RunFailed,
    RunRequeued,
    RunStarted,
    RunSubmitted,
    RunSucceeded,
)
from services.ports.dispatching import DispatchServer, RunLog, RunQueue

logger = logging.getLogger(__name__)

TOPICS = frozenset(
    topic(event)
    for event in (
        RunSubmitted,
        RunClaimed,
        RunStarted,
        OutputStored,
        RunSucceeded,
        RunAttemptLost,
        RunRequeued,
        RunFailed,
        RunCancelled,
    )
)
PAGE = 500  # events
SAFETY_POLL_S = 1.0  # the wake-up may be lost


class Folding:
    """One at a time in a process; several processes take turns at the queue's checkpoint."""

    def __init__(self, log: RunLog, queue: RunQueue, server: DispatchServer) -> None:
        self._log = log
        self._queue = queue
        self._server = server
        self._lock = asyncio.Lock()

    async def follow(self) -> None:
        """For ever: fold, then wait until the log grows."""
        while True:
            await self.catch_up()
            await self._log.grown(SAFETY_POLL_S)

    async def catch_up(self) -> None:
        """Fold all that the log has now."""
        async with self._lock:
            while await self._page():
                logger.debug("a full page was folded")

    async def _page(self) -> bool:
        position = await self._queue.position()
        head = await self._log.head()
        if head <= position:
            return False
        events = await self._log.after(position, PAGE, TOPICS)
        full = len(events) == PAGE
        upto = events[-1].position if full else max(head, *(event.position for event in events), 0)
        for revoked in await self._queue.apply(events, Position(upto)):
            await self._server.cancel(revoked.executor, revoked.attempt)
        if any(isinstance(each.event, RunSubmitted | RunRequeued) for each in events):
            await self._server.wake()
        return full
