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
from commands.queue import FinishCleaning
from commands.runs import DeleteRun
from commands.streams import Context
from domain.event import AnyRecorded, topic
from domain.ids import AccountId, Actor, Position, RunId
from domain.queue import QueueCleaned
from domain.refusals import Conflict, NotFound
from domain.run import RunDeleted
from services.errand import Checkpoint, ErrandLog, react

logger = logging.getLogger(__name__)

ACTOR = Actor("cleaning")
TOPICS = frozenset({topic(QueueCleaned)})
DELETED = frozenset({topic(RunDeleted)})
PAGE = 200
POLL_S = 1.0


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
        log: ErrandLog,
        checkpoint: Checkpoint,
        finished: Finished,
        dispatcher: Dispatcher,
    ) -> None:
        self._log = log
        self._checkpoint = checkpoint
        self._finished = finished
        self._dispatcher = dispatcher

    async def run(self) -> None:
        await react(self.name, self._log, self._checkpoint, TOPICS, self._clean)

    async def _clean(self, events: Sequence[AnyRecorded]) -> None:
        while not await self._finished.reached(events[-1].position):
            await asyncio.sleep(POLL_S)
        for recorded in events:
            await self._delete(recorded, recorded.event)

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
