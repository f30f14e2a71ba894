"""Removes the objects of deleted runs and inputs, and pictures that no longer show a workflow.

Only where nothing else needs them. Each step may be done again.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from commands.ports import Clock, LogUnavailableError, ObjectsAwayError
from domain.event import AnyRecorded, topic
from domain.ids import Digest, Position, RunId
from domain.input import InputDeleted
from domain.run import OutputDeleted, RunDeleted
from domain.workflow import WorkflowThumbnailRemoved
from services.ports.dispatching import RunLog
from services.ports.erasing import ErasedObjects
from services.ports.relaying import Leadership
from services.ports.removing import Needs, Removal, RemovalLedger

logger = logging.getLogger(__name__)

TOPICS = frozenset(
    {topic(RunDeleted), topic(OutputDeleted), topic(InputDeleted), topic(WorkflowThumbnailRemoved)}
)
PAGE = 200
POLL_S = 1.0
REST_S = 1.0  # a busy log grows all the time
PAUSE_S = 2.0  # before something that failed is tried again
RENDITIONS_KEPT = timedelta(days=7)
RENDITIONS_EVERY = timedelta(minutes=1)
MOVE_EVERY = 10_000  # positions; so much of the log is looked through again after a crash, at most


class RemovingLog(RunLog, Protocol):
    def leadership(self, name: str) -> Leadership: ...


class Removing:
    """Runs until it is cancelled, in one process at a time.

    `settle`: how long an object may be stored before something refers to it.
    """

    name = "removing"

    def __init__(
        self,
        log: RemovingLog,
        ledger: RemovalLedger,
        needs: Needs,
        objects: ErasedObjects,
        now: Clock,
        *,
        settle: timedelta,
    ) -> None:
        self._log = log
        self._ledger = ledger
        self._needs = needs
        self._objects = objects
        self._now = now
        self._settle = settle
        self._renditions_due = now()

    async def run(self) -> None:
        while True:
            try:
                async with self._log.leadership(self.name) as leadership:
                    position = await self._ledger.position()
                    while await leadership.held():
                        position = await self._look(position)
                        await self._let_renditions_go()
                        while await self._remove_some():
                            pass
                        await self._log.grown(POLL_S)
                        await asyncio.sleep(REST_S)
            except (LogUnavailableError, ObjectsAwayError) as error:
                logger.warning("removing waits", extra={"reason": str(error)})
            except Exception:  # the outermost loop: a removal is never given up
                logger.exception("removing failed")
            await asyncio.sleep(PAUSE_S)

    async def _look(self, position: Position) -> Position:
        """Note what was deleted."""
        stored = position
        while True:
            page = await self._log.after(position, PAGE, TOPICS)
            position = page.upto
            if page.events or position - stored >= MOVE_EVERY:
                removals = await self._removals(page.events)
                await self._ledger.note(removals, self._now() + self._settle, position)
                stored = position
            if len(page.events) < PAGE:
                return position

    async def _removals(self, events: Sequence[AnyRecorded]) -> list[Removal]:
        """Of a run that lost one output all are looked at: those that it still has are needed."""
        found: dict[Digest, Position] = {}
        runs: dict[RunId, Position] = {}
        for recorded in events:
            match recorded.event:
                case InputDeleted(digest=digest):
                    found[digest] = recorded.position
                case WorkflowThumbnailRemoved(digests=digests):
                    found |= dict.fromkeys(digests, recorded.position)
                case RunDeleted() | OutputDeleted():
                    runs[RunId(recorded.stream)] = recorded.position
                case _:
                    pass
        for run, position in runs.items():
            for stored in await self._needs.stored_by([run]):
                found[stored] = max(position, found.get(stored, position))
        return [Removal(digest, position) for digest, position in found.items()]

    async def _let_renditions_go(self) -> None:
        """Who asks for one again has it made anew."""
        now = self._now()
        if now >= self._renditions_due:
            await self._ledger.let_renditions_go(now - RENDITIONS_KEPT, now)
            self._renditions_due = now + RENDITIONS_EVERY

    async def _remove_some(self) -> bool:
        """Whether there may be more to do at once."""
        due = await self._ledger.due(self._now(), PAGE)
        if not due:
            return False
        if not await self._needs.reached(max(each.position for each in due)):
            return False  # the read models do not know yet
        digests = [each.digest for each in due]
        needed, awaited = await self._needs.needed(digests), await self._needs.awaited(digests)
        settled_before = self._now() - self._settle
        gone, waiting = [], []
        for each in due:
            if each.digest in awaited:
                waiting.append(each)
            elif each.digest in needed or await self._objects.remove(each.digest, settled_before):
                gone.append(each)  # what is still needed goes with the last thing that needs it
            else:
                waiting.append(each)
        await self._ledger.later(waiting, self._now() + self._settle)
        await self._ledger.done(gone)
        return len(due) == PAGE
