"""A log in memory that behaves as the real one: gap-free positions, a wake-up, one leader at a time."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from domain.catalogue import CATALOGUE
from domain.event import Event, topic
from domain.ids import Position, StreamId
from domain.run import RunStarted
from services.ports.relaying import Leadership, StoredRow

OWNER = uuid4()
START = datetime(2026, 1, 1, tzinfo=UTC)


class ListLog:
    """LogTail over a list."""

    def __init__(self, identity: UUID | None = None, *, leaders: bool = True) -> None:
        self.stored: list[StoredRow] = []
        self._identity = identity or uuid4()
        self._grown = asyncio.Condition()
        self._lock = asyncio.Lock() if leaders else None

    async def append(self, *events: Event, stream: StreamId | None = None) -> StreamId:
        stream = stream or uuid4()
        head = len(self.stored)
        self.stored += [stored_row(head + n, event, stream) for n, event in enumerate(events, start=1)]
        async with self._grown:
            self._grown.notify_all()
        return stream

    async def identity(self) -> UUID:
        return self._identity

    async def head(self) -> Position:
        return Position(len(self.stored))

    async def rows(self, after: Position, limit: int) -> Sequence[StoredRow]:
        return self.stored[after : after + limit]

    async def grown(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s), self._grown:
                await self._grown.wait()
        except TimeoutError:
            return

    def leadership(self, name: str) -> Leadership:
        return _Leadership(self._lock)


class _Leadership:
    def __init__(self, lock: asyncio.Lock | None) -> None:
        self._lock = lock

    async def __aenter__(self) -> Leadership:
        if self._lock is not None:
            await self._lock.acquire()
        return self

    async def __aexit__(self, *exception: Any) -> None:
        if self._lock is not None:
            self._lock.release()

    async def held(self) -> bool:
        return True


def stored_row(position: int, event: Event, stream: StreamId) -> StoredRow:
    return StoredRow(
        position=Position(position),
        stream=stream,
        version=1,
        topic=topic(event),
        state=CATALOGUE.encode(event),
        at=START + timedelta(milliseconds=position),
        owner=OWNER,
        actor="tests",
        correlation=uuid4(),
        causation=None,
    )


def started(count: int) -> list[RunStarted]:
    return [RunStarted(epoch=n, backend="gpu-1") for n in range(1, count + 1)]
