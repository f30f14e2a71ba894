"""Finishes erasures: what the request that began one had no time for, or was killed before it could do it.

In the log, on the list and in the key store first; then the runs, workflows and files of the account. Each step may
be done again, and is: a request that was under way may still have added something.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from commands.collections import DeleteCollection
from commands.comments import DeleteComment
from commands.dispatcher import Dispatcher
from commands.erasure import FinishErasure
from commands.follows import UnfollowAccount
from commands.identity_ports import Erasures
from commands.inputs import DeleteInput
from commands.likes import UnlikeWorkflow
from commands.loras import ClearShelf
from commands.needs import Command
from commands.ports import Clock
from commands.presets import DeletePreset
from commands.runs import CancelRun
from commands.shared_outputs import UnlikeOutput, WithdrawOutput
from commands.shares import RevokeShare
from commands.streams import Context
from commands.templates import DeleteTemplate
from commands.thumbnails import RemoveThumbnail
from commands.workflows import DeleteWorkflow
from domain.account import AccountErased
from domain.event import AnyRecorded, topic
from domain.ids import AccountId, Actor, Position
from domain.refusals import Conflict, NotFound
from services.errand import ErrandLog, Following, lead, rest
from services.ports.erasing import Belongings, Erased, ErasedObjects, ErasureLedger
from services.ports.relaying import Leadership

logger = logging.getLogger(__name__)

ACTOR = Actor("erasing")
TOPICS = frozenset({topic(AccountErased)})
REST_S = 0.25  # somebody waits for it
PATIENCE = timedelta(seconds=2)  # with read models, before others have their turn


class ErasingLog(ErrandLog, Protocol):
    async def head(self) -> Position: ...


class Erasing:
    """Runs until it is cancelled, in one process at a time.

    `settle`: how long an object may be stored before a run refers to it, and a request be under way.
    """

    name = "erasing"

    def __init__(
        self,
        log: ErasingLog,
        ledger: ErasureLedger,
        belongings: Belongings,
        objects: ErasedObjects,
        dispatcher: Dispatcher,
        *,
        settle: timedelta,
    ) -> None:
        self._log = log
        self._ledger = ledger
        self._belongings = belongings
        self._objects = objects
        self._dispatcher = dispatcher
        self._erasures: Erasures = dispatcher.needs.erasures
        self._now: Clock = dispatcher.needs.now
        self._new_id: Callable[[], UUID] = dispatcher.needs.new_id
        self._settle = settle
        self._due: dict[AccountId, datetime] = {}

    async def run(self) -> None:
        await lead(self.name, self._log, self._work)

    async def _work(self, leadership: Leadership) -> None:
        await self._apply_list()
        following = Following(self._log, TOPICS, await self._ledger.position(), self._note)
        while await leadership.held():
            await following.catch_up()
            for erased in await self._ledger.unfinished():
                if self._now() >= self._due.get(erased.account, erased.at):
                    self._due[erased.account] = await self._go_on(erased)
            await rest(self._log, REST_S)

    async def _apply_list(self) -> None:
        """A log that was restored does not know of erasures since its backup: the list does."""
        for account in await self._erasures.noted():
            await self._wish(FinishErasure(account=account))

    async def _note(self, events: Sequence[AnyRecorded], upto: Position) -> None:
        """What the log tells of new erasures."""
        await self._ledger.note(_erased(events), upto)

    async def _go_on(self, erased: Erased) -> datetime:
        """Do what can be done now. Returns when there may be more."""
        account, begun = erased.account, self._now()
        await self._wish(FinishErasure(account=account))
        head = await self._log.head()
        while not await self._belongings.reached(head):
            if self._now() - begun > PATIENCE:
                return self._now() + PATIENCE  # the read models stand still
            await asyncio.sleep(REST_S)
        await self._wish(ClearShelf(account=account, with_published=erased.with_published))
        runs = await self._belongings.unfinished_runs(account)
        for run in runs:
            await self._wish(CancelRun(by=account, run=run))
        workflows = await self._belongings.workflows(account, published=erased.with_published)
        for workflow in workflows:
            await self._wish(DeleteWorkflow(by=account, workflow=workflow, for_good=True))
        pictured = await self._belongings.pictured(account)
        for workflow in pictured:
            await self._wish(RemoveThumbnail(by=account, workflow=workflow))
        templates = await self._belongings.templates(account, published=erased.with_published)
        for template in templates:
            await self._wish(DeleteTemplate(by=account, template=template))
        presets = await self._belongings.presets(account, published=erased.with_published)
        for preset in presets:
            await self._wish(DeletePreset(by=account, preset=preset))
        inputs = await self._belongings.inputs(account)
        for input in inputs:
            await self._wish(DeleteInput(by=account, input=input))
        likes = await self._belongings.likes(account)
        for liked in likes:
            await self._wish(UnlikeWorkflow(by=account, workflow=liked))
        comments = await self._belongings.comments(account) if erased.with_published else ()
        for comment in comments:
            await self._wish(DeleteComment(by=account, comment=comment))
        follows = await self._belongings.follows(account)
        for follower, followed in follows:
            await self._wish(UnfollowAccount(by=follower, account=followed))
        shown = await self._take_back(account)
        left = await self._remove_objects(account)
        settled = erased.at + self._settle
        found = any((runs, workflows, pictured, templates, presets, inputs, likes, comments, follows, shown))
        if found or left or begun < settled:
            return self._now() if found else max(settled, self._now() + self._settle / 4)
        await self._ledger.finished(account)
        logger.info("erasure finished", extra={"account": str(account)})
        return self._now()

    async def _take_back(self, account: AccountId) -> bool:
        """Links and shared outputs lead to files that go; collections are theirs alone. Whether there were any."""
        wishes: list[Command] = [
            RevokeShare(by=account, share=share) for share in await self._belongings.shares(account)
        ]
        wishes += [
            WithdrawOutput(by=account, output=output)
            for output in await self._belongings.shown_outputs(account)
        ]
        wishes += [
            UnlikeOutput(by=account, output=output)
            for output in await self._belongings.liked_outputs(account)
        ]
        wishes += [
            DeleteCollection(by=account, collection=collection)
            for collection in await self._belongings.collections(account)
        ]
        for wish in wishes:
            await self._wish(wish)
        return bool(wishes)

    async def _remove_objects(self, account: AccountId) -> int:
        """How many must wait, as they were stored just now."""
        left, settled_before = 0, self._now() - self._settle
        async for digests in self._belongings.objects(account):
            for digest in digests:
                left += not await self._objects.remove(digest, settled_before)
        return left

    async def _wish(self, command: Command) -> None:
        context = Context(actor=ACTOR, correlation=self._new_id())
        with suppress(NotFound, Conflict):  # it came to its end, or was deleted, meanwhile
            await self._dispatcher.run(command, context)


def _erased(events: Sequence[AnyRecorded]) -> list[Erased]:
    return [
        Erased(AccountId(each.stream), each.at, each.position, each.event.with_published)
        for each in events
        if isinstance(each.event, AccountErased)
    ]
