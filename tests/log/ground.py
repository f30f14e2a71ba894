"""Accounts, and commands as the log sees them."""

from uuid import UUID, uuid4

from commands.ports import Entry, RequestKey, Write
from domain.event import Event
from domain.ids import AccountId, Actor
from domain.reservation import NameReleased, NameReserved

ANN, BOB = AccountId(UUID(int=0xA11)), AccountId(UUID(int=0xB0B))
ACTOR = Actor(str(ANN))
RESERVED, RELEASED = NameReserved(account=ANN), NameReleased(account=ANN)


def entry(*writes: Write, key: RequestKey | None = None) -> Entry:
    return Entry(writes=writes, actor=ACTOR, correlation=uuid4(), key=key)


def write(stream: UUID, expected: int, *events: Event) -> Write:
    return Write(stream, expected, events or (RESERVED,), ANN)


def guard(stream: UUID, expected: int) -> Write:
    return Write(stream, expected, (), None)


def key(name: str, request: bytes = b"request") -> RequestKey:
    return RequestKey(ACTOR, name, request)
