"""Accounts, and commands as the log sees them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID, uuid4

from msgspec import Struct

from commands.ports import Appended, Entry, EventLog, RequestKey, Write
from domain.event import Event
from domain.ids import AccountId, Actor, Position
from domain.reservation import NameReleased, NameReserved
from services.ports.relaying import StoredRow

ANN, BOB = AccountId(UUID(int=0xA11)), AccountId(UUID(int=0xB0B))
ACTOR = Actor(str(ANN))
RESERVED, RELEASED = NameReserved(account=ANN), NameReleased(account=ANN)


def now() -> datetime:
    return datetime.now(UTC)


def entry(*writes: Write, key: RequestKey | None = None) -> Entry:
    return Entry(writes=writes, actor=ACTOR, correlation=uuid4(), key=key)


def write(stream: UUID, expected: int, *events: Event) -> Write:
    return Write(stream, expected, events or (RESERVED,), ANN)


def guard(stream: UUID, expected: int) -> Write:
    return Write(stream, expected, (), None)


def key(name: str, request: bytes = b"request") -> RequestKey:
    return RequestKey(ACTOR, name, request)


class Rows(Protocol):
    """The log as those read it who follow it."""

    async def head(self) -> Position: ...

    async def rows(self, after: Position, limit: int) -> Sequence[StoredRow]: ...

    async def grown(self, timeout_s: float) -> None: ...


class Logs(Struct, frozen=True):
    """Both ends of one log."""

    log: EventLog
    tail: Rows

    async def append(self, *writes: Write, key: RequestKey | None = None) -> Appended:
        return await self.log.append(entry(*writes, key=key))

    async def everything(self) -> list[StoredRow]:
        return list(await self.tail.rows(Position(0), 100_000))
