"""Empties the trash: removes for good what has lain in it for long enough.

Found by looking at what lies there; whoever takes a workflow out of it at this moment keeps it.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from commands.dispatcher import Dispatcher
from commands.ports import Clock
from commands.streams import Context
from commands.workflows import DeleteWorkflow
from domain.ids import AccountId, Actor, WorkflowId
from domain.refusals import Conflict, NotFound
from services.errand import Leading, go_round

logger = logging.getLogger(__name__)

ACTOR = Actor("emptying")


class Trash(Protocol):
    async def thrown_before(self, at: datetime) -> Sequence[tuple[WorkflowId, AccountId, int]]:
        """Some of those that were thrown away before a time, the first of them first; with owner and revision."""


class Emptying:
    """Runs until it is cancelled, in one process at a time. `kept`: how long what is thrown away can be taken back."""

    name = "emptying"

    def __init__(
        self,
        log: Leading,
        trash: Trash,
        dispatcher: Dispatcher,
        *,
        kept: timedelta,
        every_s: float,
    ) -> None:
        self._log = log
        self._trash = trash
        self._dispatcher = dispatcher
        self._now: Clock = dispatcher.needs.now
        self._new_id: Callable[[], UUID] = dispatcher.needs.new_id
        self._kept = kept
        self._every_s = every_s

    async def run(self) -> None:
        await go_round(self.name, self._log, self._empty, self._every_s)

    async def _empty(self) -> None:
        """What was removed is in the trash until the read model knows: removed again, nothing changes."""
        for workflow, owner, revision in await self._trash.thrown_before(self._now() - self._kept):
            wish = DeleteWorkflow(by=owner, workflow=workflow, for_good=True, expected=revision)
            with suppress(NotFound, Conflict):  # taken out, or removed, meanwhile
                await self._dispatcher.run(wish, Context(actor=ACTOR, correlation=self._new_id()))
                logger.info("workflow removed for good", extra={"workflow": str(workflow)})
