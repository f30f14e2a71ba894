"""Follows the log for something that reacts to it: in order, from a checkpoint of its own, in one process at a time."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from commands.ports import LogUnavailableError
from domain.catalogue import CATALOGUE, Catalogue
from domain.event import AnyRecorded, Recorded
from domain.ids import AccountId, Actor, Position
from services.ports.relaying import LogTail, StoredRow

logger = logging.getLogger(__name__)

BATCH = 500
POLL_S = 1.0  # a wake-up may be lost
REST_S = 0.05  # after events of which nothing came; few at a time cost several times as much
PAUSE_S = 2.0  # before something that failed is tried again


class Reaction(Protocol):
    """What follows from events. `name` is its checkpoint's, and that of its leadership."""

    name: str

    async def position(self) -> Position:
        """The last event whose effect is stored."""

    async def take(self, events: Sequence[AnyRecorded], upto: Position) -> bool:
        """Store the effect of consecutive events together with the checkpoint `upto`. False: they had none.

        After a crash the same events may come again, unless effect and checkpoint were stored: events without
        effect may pass unstored. In a silence of the log none are given, so that the checkpoint is stored.
        """


class Follower:
    """Runs until it is cancelled; whatever goes wrong, it begins again at the checkpoint."""

    def __init__(self, tail: LogTail, reaction: Reaction, catalogue: Catalogue = CATALOGUE) -> None:
        self._tail = tail
        self._reaction = reaction
        self._catalogue = catalogue

    async def run(self) -> None:
        name = self._reaction.name
        while True:
            try:
                async with self._tail.leadership(name) as leadership:
                    position = await self._reaction.position()
                    while await leadership.held():
                        position = await self._follow(position)
                        await self._reaction.take((), position)
            except LogUnavailableError as error:
                logger.warning("reaction waits", extra={"reaction": name, "reason": str(error)})
            except Exception:  # the outermost loop: an event is never skipped
                logger.exception("reaction failed", extra={"reaction": name})
            await asyncio.sleep(PAUSE_S)

    async def _follow(self, position: Position) -> Position:
        """Until the log has been silent for a while."""
        now = asyncio.get_running_loop().time
        while True:
            if rows := await self._tail.rows(position, BATCH):
                position = rows[-1].position
                events = [recorded_of(row, self._catalogue) for row in rows]
                had_effect = await self._reaction.take(events, position)
                if had_effect or len(rows) == BATCH:
                    continue
                await asyncio.sleep(REST_S)
            silent_since = now()
            await self._tail.grown(POLL_S)
            if now() - silent_since >= POLL_S:
                return position


def recorded_of(row: StoredRow, catalogue: Catalogue = CATALOGUE) -> AnyRecorded:
    """Raises UnknownTopicError, msgspec.ValidationError: what this program cannot read it cannot react to."""
    return Recorded(
        position=row.position,
        stream=row.stream,
        version=row.version,
        at=row.at,
        owner=None if row.owner is None else AccountId(row.owner),
        actor=Actor(row.actor),
        correlation=row.correlation,
        causation=row.causation,
        event=catalogue.decode(row.topic, row.state),
    )
