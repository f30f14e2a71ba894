"""Removes the objects of deleted runs and inputs, and pictures that no longer show a workflow.

Only where nothing else needs them. Each step may be done again.
"""

from collections.abc import Sequence
from datetime import timedelta

from commands.ports import Clock
from domain.event import AnyRecorded, topic
from domain.ids import Digest, Position, RunId
from domain.input import InputDeleted
from domain.run import OutputDeleted, RunDeleted
from domain.workflow import WorkflowThumbnailRemoved
from services.errand import ErrandLog, Following, lead, rest
from services.ports.erasing import ErasedObjects
from services.ports.relaying import Leadership
from services.ports.removing import Needs, Removal, RemovalLedger

TOPICS = frozenset(
    {topic(RunDeleted), topic(OutputDeleted), topic(InputDeleted), topic(WorkflowThumbnailRemoved)}
)
PAGE = 200
RENDITIONS_KEPT = timedelta(days=7)
RENDITIONS_EVERY = timedelta(minutes=1)


class Removing:
    """Runs until it is cancelled, in one process at a time.

    `settle`: how long an object may be stored before something refers to it.
    """

    name = "removing"

    def __init__(
        self,
        log: ErrandLog,
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
        await lead(self.name, self._log, self._work)

    async def _work(self, leadership: Leadership) -> None:
        following = Following(self._log, TOPICS, await self._ledger.position(), self._note)
        while await leadership.held():
            await following.catch_up()
            await self._let_renditions_go()
            while await self._remove_some():
                pass
            await rest(self._log)

    async def _note(self, events: Sequence[AnyRecorded], upto: Position) -> None:
        """What was deleted."""
        await self._ledger.note(await self._removals(events), self._now() + self._settle, upto)

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
