"""Follows the log for something that reacts to it: in order, from a checkpoint of its own, in one process at a time."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from domain.catalogue import CATALOGUE, Catalogue
from domain.event import AnyRecorded, Recorded
from domain.ids import AccountId, Actor, Position
from services.errand import lead
from services.ports.relaying import Leadership, LogTail, StoredRow

BATCH = 500
POLL_S = 1.0  # a wake-up may be lost
REST_S = 0.05  # after events of which nothing came; few at a time cost several times as much


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
        await lead(self._reaction.name, self._tail, self._work)

    async def _work(self, leadership: Leadership) -> None:
        position = await self._reaction.position()
        while await leadership.held():
            position = await self._follow(position)
            await self._reaction.take((), position)

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
