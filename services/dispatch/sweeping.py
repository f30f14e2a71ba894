"""What happens because time passes: leases run out, executors fall silent, pauses end."""

import asyncio
import logging
from datetime import timedelta

from commands.backends import LoseBackend
from commands.dispatcher import Dispatcher
from commands.ports import Clock
from commands.runs import LoseAttempt
from commands.streams import Context
from domain.ids import Actor
from domain.outcome import Failure, FailureKind
from domain.refusals import DomainError
from services.ports.dispatching import DispatchServer, Expired, RunQueue

logger = logging.getLogger(__name__)

ACTOR = Actor("dispatch")


class Sweeping:
    def __init__(
        self,
        queue: RunQueue,
        dispatcher: Dispatcher,
        server: DispatchServer,
        now: Clock,
        *,
        every_s: float,
        lease: timedelta,
    ) -> None:
        self._queue = queue
        self._dispatcher = dispatcher
        self._server = server
        self._now = now
        self._every_s = every_s
        self._lease = lease

    async def sweep_for_ever(self) -> None:
        """A sweep waits until a whole lease was listened: while dispatch was away, nobody could renew one."""
        begin = self._now() + self._lease
        while True:
            if not self._server.listening:
                begin = self._now() + self._lease
            if self._now() >= begin:
                await self.sweep()
            elif await self._queue.waiting():
                await self._server.wake()
            await asyncio.sleep(self._every_s)

    async def sweep(self) -> None:
        """Two sweepers at once are harmless: the second one's wishes are refused."""
        for expired in await self._queue.expired(self._now()):
            await self._lose(expired)
        for name in await self._queue.lapsed_backends(self._now()):
            wish = LoseBackend(name=name, reason="Its executor has fallen silent.")
            await self._dispatcher.run(wish, self._context())
            await self._queue.backend_gone(name)
        if await self._queue.waiting():
            await self._server.wake()

    async def _lose(self, expired: Expired) -> None:
        failure = Failure(
            kind=FailureKind.LOST,
            reason="The executor that had claimed the run fell silent.",
            advice="The run is tried again by itself. If this repeats, look at the executor and its machine.",
        )
        try:
            await self._dispatcher.run(
                LoseAttempt(run=expired.run, epoch=expired.epoch, failure=failure), self._context()
            )
            logger.warning("attempt lost", extra={"run": str(expired.run), "epoch": expired.epoch})
        except DomainError:
            logger.info("an expired attempt had ended meanwhile", extra={"run": str(expired.run)})

    def _context(self) -> Context:
        return Context(actor=ACTOR, correlation=self._dispatcher.needs.new_id())
