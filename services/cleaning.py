"""Puts old runs away where an administrator has said so. Done again it does no harm: a run is deleted once.

What the runs leave behind is removed by another errand, as of any deleted run.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol
from uuid import UUID

from commands.dispatcher import Dispatcher
from commands.ports import LogUnavailableError, OutcomeUnknownError
from commands.queue import FinishCleaning
from commands.runs import DeleteRun
from commands.streams import Context
from domain.event import AnyRecorded, topic
from domain.ids import AccountId, Actor, Position, RunId
from domain.queue import QueueCleaned
from domain.refusals import Conflict, NotFound
from domain.run import RunDeleted
from services.ports.dispatching import RunLog
from services.ports.relaying import Leadership

logger = logging.getLogger(__name__)

ACTOR = Actor("cleaning")
TOPICS = frozenset({topic(QueueCleaned)})
DELETED = frozenset({topic(RunDeleted)})
PAGE = 200
POLL_S = 1.0
REST_S = 1.0  # a busy log grows all the time
MOVE_EVERY = 10_000  # positions; so much of the log is looked through again after a crash, at most
PAUSE_S = 2.0  # before something that failed is tried again


class CleaningLog(RunLog, Protocol):
    def leadership(self, name: str) -> Leadership: ...


class Checkpoint(Protocol):
    """Every method raises LogUnavailableError."""

    async def position(self) -> Position: ...

    async def move(self, upto: Position) -> None: ...


class Finished(Protocol):
    """Runs that are over."""

    async def reached(self, position: Position) -> bool:
        """Whether the read model has taken in that position."""

    async def runs(self, cleaned: QueueCleaned, after: UUID) -> Sequence[tuple[RunId, AccountId]]:
        """The next of those that are meant, by id."""


class Cleaning:
    """Runs until it is cancelled, in one process at a time."""

    name = "cleaning"

    def __init__(
        self,
        log: CleaningLog,
        checkpoint: Checkpoint,
        finished: Finished,
        dispatcher: Dispatcher,
    ) -> None:
        self._log = log
        self._checkpoint = checkpoint
        self._finished = finished
        self._dispatcher = dispatcher
        self._stored = Position(0)

    async def run(self) -> None:
        while True:
            try:
                async with self._log.leadership(self.name) as leadership:
                    position = self._stored = await self._checkpoint.position()
                    while await leadership.held():
                        position = await self._go_on(position)
                        await self._log.grown(POLL_S)
                        await asyncio.sleep(REST_S)
            except (LogUnavailableError, OutcomeUnknownError) as error:
                logger.warning("cleaning waits", extra={"reason": str(error)})
            except Exception:  # the outermost loop: it begins again where the checkpoint is
                logger.exception("cleaning failed")
            await asyncio.sleep(PAUSE_S)

    async def _go_on(self, position: Position) -> Position:
        page = await self._log.after(position, PAGE, TOPICS)
        if not page.events:
            if page.upto - self._stored >= MOVE_EVERY:
                await self._store(page.upto)
            return page.upto
        while not await self._finished.reached(page.events[-1].position):
            await asyncio.sleep(POLL_S)
        for recorded in page.events:
            await self._delete(recorded, recorded.event)
        await self._store(page.events[-1].position)
        return page.events[-1].position

    async def _store(self, position: Position) -> None:
        await self._checkpoint.move(position)
        self._stored = position

    async def _delete(self, recorded: AnyRecorded, cleaned: QueueCleaned) -> None:
        context = Context(actor=ACTOR, correlation=recorded.correlation, causation=recorded.position)
        after = UUID(int=0)
        while found := await self._finished.runs(cleaned, after):
            for run, owner in found:
                with suppress(NotFound, Conflict):  # deleted already, or put back into the queue
                    await self._dispatcher.run(DeleteRun(by=owner, run=run), context)
            after = found[-1][0]
        runs, outputs = await self._put_away(recorded.position)
        wish = FinishCleaning(cleaned=recorded.position, runs=runs, outputs=outputs)
        await self._dispatcher.run(wish, context)
        logger.info("queue cleaned", extra={"position": recorded.position, "runs": runs, "outputs": outputs})

    async def _put_away(self, cleaned: Position) -> tuple[int, int]:
        """Runs and outputs, also those that an earlier process has put away for the same wish."""
        runs = outputs = 0
        position = cleaned
        while (page := await self._log.after(position, PAGE, DELETED)).events:
            for recorded in page.events:
                if recorded.causation == cleaned:
                    runs += 1
                    outputs += recorded.event.outputs
            position = page.events[-1].position
        return runs, outputs
