"""Lets outputs go that fall under their owner's rule, or everybody's. Each is a decision, with its reason, in the log.

What is done twice does no harm; what was starred or deleted meanwhile stays as it is. The files are removed by another
errand, as of any deleted output.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Protocol
from uuid import UUID

from commands.dispatcher import Dispatcher
from commands.outputs import ExpireOutputs, Place
from commands.streams import Context
from domain.handling import Retention
from domain.ids import AccountId, Actor, Position, RunId
from domain.refusals import Conflict, NotFound
from services.errand import Leading, go_round

logger = logging.getLogger(__name__)

ACTOR = Actor("keeping")
FOR_EVER = Retention()
POLL_S = 1.0
PATIENCE_S = 60.0  # with the read model; then the others have their turn


class Expiry(Protocol):
    """What the read models say of outputs, and of their owners' rules."""

    async def reached(self, position: Position) -> bool:
        """Whether they have taken in that position."""

    async def accounts(self, after: UUID, *, everybody: bool) -> Sequence[tuple[AccountId, Retention | None]]:
        """The next by id, with the rule that each has chosen: of those that chose one, or of all with outputs."""

    async def going(
        self, owner: AccountId, retention: Retention, now: datetime
    ) -> Sequence[tuple[UUID, str, int, bool]]:
        """The next that fall under a rule: run, node, index, and whether they are too old, not too many."""


class Keeping:
    """Runs until it is cancelled, in one process at a time. `default`: of those who chose nothing."""

    name = "keeping"

    def __init__(
        self, tail: Leading, expiry: Expiry, dispatcher: Dispatcher, *, default: Retention, every_s: float
    ) -> None:
        self._tail = tail
        self._expiry = expiry
        self._dispatcher = dispatcher
        self._now = dispatcher.needs.now
        self._default = default
        self._every_s = every_s

    async def run(self) -> None:
        await go_round(self.name, self._tail, self._look_through_all, self._every_s)

    async def _look_through_all(self) -> None:
        after, everybody = UUID(int=0), _ends(self._default)
        while found := await self._expiry.accounts(after, everybody=everybody):
            for account, chosen in found:
                retention = self._default if chosen is None else chosen
                if _ends(retention):
                    await self._let_go(account, retention)
            after = found[-1][0]

    async def _let_go(self, owner: AccountId, retention: Retention) -> None:
        gone, now = 0, self._now()
        while going := await self._expiry.going(owner, retention, now):
            last = Position(0)
            for (run, old), named in groupby(sorted(going), itemgetter(0, 3)):
                places = tuple(Place(RunId(run), node, index) for _, node, index, _ in named)
                wish = ExpireOutputs(
                    owner=owner,
                    outputs=places,
                    spare_starred=retention.keep_starred,
                    reason=_reason(retention, old=old),
                )
                context = Context(actor=ACTOR, correlation=self._dispatcher.needs.new_id())
                with suppress(NotFound, Conflict):  # changed meanwhile: the next round sees it
                    last = max(last, (await self._dispatcher.run(wish, context)).position)
            if not last or not await self._caught_up(last):
                break  # nothing was left to do, or the read model stands still
            gone += len(going)
        if gone:
            logger.info("outputs let go", extra={"account": str(owner), "outputs": gone})

    async def _caught_up(self, position: Position) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while not await self._expiry.reached(position):
                    await asyncio.sleep(POLL_S / 4)
                return True
        return False


def _ends(retention: Retention) -> bool:
    return retention.days is not None or retention.size_bytes is not None


def _reason(retention: Retention, *, old: bool) -> str:
    if old:
        return f"Older than {retention.days} days."
    return f"All together were more than {retention.size_bytes} bytes."
