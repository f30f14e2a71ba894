"""Keeps the queue's table up to date with the log, and says so to executors."""

import asyncio
import logging
from contextlib import suppress

from commands.streams import Streams
from domain.account import AccountReinstated, AccountSuspended
from domain.event import topic
from domain.ids import Position
from domain.limits import LimitsSet
from domain.queue import PoolSet, QueuePaused, QueueResumed
from domain.run import (
    RUN,
    OutputStored,
    RunAttemptLost,
    RunCancelled,
    RunClaimed,
    RunDeleted,
    RunFailed,
    RunRequeued,
    RunRevived,
    RunStarted,
    RunSubmitted,
    RunSucceeded,
)
from services.ports.dispatching import DispatchServer, RunLog, RunQueue

logger = logging.getLogger(__name__)

STEERING = (QueuePaused, QueueResumed, PoolSet, LimitsSet, AccountSuspended, AccountReinstated)
CLAIMABLE = (RunSubmitted, RunRequeued, RunRevived, QueueResumed, PoolSet, LimitsSet, AccountReinstated)
"""After these there may be something to claim that was not there before."""
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
        RunDeleted,
        RunRevived,
        *STEERING,
    )
)
PAGE = 500  # events
SAFETY_POLL_S = 1.0  # the wake-up may be lost
GATHER_S = 0.05  # while executors have enough to do, so much of the log is folded at once
UNTOLD = 10_000  # positions without a run's event, before even they move the checkpoint


class Folding:
    """One at a time in a process; several processes take turns at the queue's checkpoint."""

    def __init__(self, log: RunLog, queue: RunQueue, server: DispatchServer, streams: Streams) -> None:
        self._log = log
        self._streams = streams
        self._queue = queue
        self._server = server
        self._lock = asyncio.Lock()
        self._looked = self._seen = Position(0)
        self._wanted = asyncio.Event()
        self._wanted.set()

    async def follow(self) -> None:
        """For ever: fold, then wait until the log grows."""
        loop = asyncio.get_running_loop()
        while True:
            gathered = loop.time() + GATHER_S
            await self.catch_up()
            await self._log.grown(SAFETY_POLL_S)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(gathered):
                    await self._wanted.wait()

    def claimed(self, something: bool) -> None:
        """How the last claim went: while there is enough in the queue, nobody waits for what is new."""
        if something:
            self._wanted.clear()
        else:
            self._wanted.set()

    async def catch_up(self) -> None:
        """Fold all that the log has now."""
        async with self._lock:
            while await self._page():
                logger.debug("there may be more to fold")

    async def _page(self) -> bool:
        seen, self._seen = self._seen, Position(0)  # until the outcome is known
        folded = await self._queue.position()
        begin = folded if folded < self._looked else max(folded, seen)
        page = await self._log.after(begin, PAGE, TOPICS)
        if not page.events and page.upto - folded < UNTOLD:
            self._looked, self._seen = folded, page.upto
            return False
        revoked = await self._queue.apply(page.events, page.upto)
        for recorded in page.events:  # somebody will report on most of them
            if not isinstance(recorded.event, STEERING):
                self._streams.learn(RUN, recorded.stream, recorded.version, recorded.event)
        for each in revoked or ():
            await self._server.cancel(each.executor, each.attempt)
        claimable = any(isinstance(each.event, CLAIMABLE) for each in page.events)
        if self._wanted.is_set() and (claimable or revoked is None):
            await self._server.wake()
        return revoked is None or len(page.events) == PAGE
