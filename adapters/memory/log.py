"""The log in memory, for tests: the eventsourcing library's own recorder in memory, with our envelope beside it.

It means what the log in Postgres means, but for its faults: it is never away and never in doubt.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from eventsourcing.popo import POPOApplicationRecorder
from msgspec import Struct

from commands.ports import (
    MAX_EVENT_BYTES,
    Appended,
    Clock,
    Entry,
    EventTooLarge,
    KeyReused,
    RequestKey,
    Snapshot,
    StaleStreamError,
    Write,
)
from domain.catalogue import CATALOGUE, Catalogue
from domain.event import AnyRecorded, Recorded, topic
from domain.ids import AccountId, Actor, Position, StreamId
from services.ports.relaying import StoredRow


class _Envelope(Struct, frozen=True):
    position: Position
    at: datetime
    owner: AccountId | None
    actor: Actor
    correlation: UUID
    causation: Position | None


class MemoryLog:
    """The EventLog port, and what the relay and the projections read of a log."""

    def __init__(self, now: Clock, catalogue: Catalogue = CATALOGUE) -> None:
        self.recorder = POPOApplicationRecorder()
        self.catalogue = catalogue
        self._now = now
        self._envelopes: dict[tuple[StreamId, int], _Envelope] = {}
        self._answers: dict[tuple[Actor, str], tuple[bytes, Position]] = {}
        self._snapshots: dict[StreamId, Snapshot] = {}
        self._grown = asyncio.Event()

    async def append(self, entry: Entry) -> Appended:
        stored = [each for write in entry.writes for each in self._stored(write)]
        if not stored:
            raise ValueError("An entry without events cannot be appended.")
        if entry.key is not None and (first := await self.answered(entry.key)) is not None:
            return Appended(first, first, repeated=True)
        if any(self._version(write.stream) != write.expected for write in entry.writes):
            raise StaleStreamError
        positions = self.recorder.insert_events(stored)
        assert positions is not None
        owners = [write.owner for write in entry.writes for _ in write.events]
        at = self._now()
        for position, each, owner in zip(positions, stored, owners, strict=True):
            self._envelopes[UUID(str(each.originator_id)), each.originator_version] = _Envelope(
                Position(position), at, owner, entry.actor, entry.correlation, entry.causation
            )
        if entry.key is not None:
            self._answers[entry.key.actor, entry.key.key] = (entry.key.request_hash, Position(positions[0]))
        self._grown.set()
        self._grown = asyncio.Event()
        return Appended(Position(positions[0]), Position(positions[-1]))

    async def answered(self, key: RequestKey) -> Position | None:
        known = self._answers.get((key.actor, key.key))
        if known is None:
            return None
        request_hash, position = known
        if request_hash != key.request_hash:
            raise KeyReused("This Idempotency-Key was used for another request before.")
        return position

    async def read(self, stream: StreamId, after: int = 0) -> list[AnyRecorded]:
        return [self._recorded(each) for each in self.recorder.select_events(stream, gt=after)]

    async def at(self, position: Position) -> AnyRecorded | None:
        found = self.recorder.select_notifications(position, 1) if position > 0 else ()
        return self._recorded(found[0]) if found else None

    async def load(self, stream: StreamId) -> tuple[Snapshot | None, Sequence[AnyRecorded]]:
        snapshot = self._snapshots.get(stream)
        return snapshot, await self.read(stream, snapshot.version if snapshot else 0)

    async def keep_snapshot(self, stream: StreamId, snapshot: Snapshot) -> None:
        kept = self._snapshots.get(stream)
        if kept is None or kept.version < snapshot.version:
            self._snapshots[stream] = snapshot

    async def head(self) -> Position:
        return Position(self.recorder.max_notification_id() or 0)

    async def rows(self, after: Position, limit: int) -> list[StoredRow]:
        found = self.recorder.select_notifications(after, limit, inclusive_of_start=False)
        return [self._row(each) for each in found]

    async def grown(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._grown.wait(), timeout_s)

    def _stored(self, write: Write) -> list[StoredEvent]:
        stored = []
        for version, event in enumerate(write.events, write.expected + 1):
            state = self.catalogue.encode(event)
            if len(state) >= MAX_EVENT_BYTES:
                raise EventTooLarge("This is too much to be recorded at once.")
            stored.append(StoredEvent(write.stream, version, topic(event), state))
        return stored

    def _version(self, stream: StreamId) -> int:
        newest = self.recorder.select_events(stream, desc=True, limit=1)
        return newest[0].originator_version if newest else 0

    def _row(self, stored: StoredEvent) -> StoredRow:
        stream = UUID(str(stored.originator_id))
        envelope = self._envelopes[stream, stored.originator_version]
        return StoredRow(
            position=envelope.position,
            stream=stream,
            version=stored.originator_version,
            topic=stored.topic,
            state=stored.state,
            at=envelope.at,
            owner=envelope.owner,
            actor=envelope.actor,
            correlation=envelope.correlation,
            causation=envelope.causation,
        )

    def _recorded(self, stored: StoredEvent) -> AnyRecorded:
        stream = UUID(str(stored.originator_id))
        envelope = self._envelopes[stream, stored.originator_version]
        return Recorded(
            position=envelope.position,
            stream=stream,
            version=stored.originator_version,
            at=envelope.at,
            owner=envelope.owner,
            actor=envelope.actor,
            correlation=envelope.correlation,
            causation=envelope.causation,
            event=self.catalogue.decode(stored.topic, stored.state),
        )
