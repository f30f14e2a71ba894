"""The call of log.append: commands as its parameters, and its answer to each of them. All doors go through here."""

import re
from collections.abc import Sequence
from hashlib import sha256
from itertools import accumulate, chain
from typing import TypeAlias
from uuid import UUID

import psycopg
from msgspec import Struct

from adapters.postgres import digests
from adapters.postgres.arrays import Bigints, Byteas, Ids, Integers, Uuids
from commands.ports import (
    MAX_EVENT_BYTES,
    Appended,
    Entry,
    EventTooLarge,
    KeyReused,
    RequestKey,
    StaleStreamError,
)
from domain.catalogue import Catalogue
from domain.event import topic
from domain.ids import AccountId, Position, StreamId

_NUMBERED = ", ".join(f"${number}" for number in range(1, 16))
CALL = "log.append(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
APPEND = f"SELECT base, stale, repeated, repeated_positions, reused FROM {CALL}"
CALLED = f"SELECT log.append({_NUMBERED})".encode()  # FROM would make a table of the one row first
_INTEGERS = rb'"?(\{[0-9,]*\})?"?'
_ANSWER = re.compile(rb"\(([0-9]+)" + 4 * (b"," + _INTEGERS) + rb"\)")  # PostgreSQL's text form of a row

Outcome: TypeAlias = Appended | StaleStreamError | KeyReused

EncodedEvent: TypeAlias = tuple[StreamId, int, str, bytes, AccountId | None]
"""Stream, version, topic, state, owner."""


class Encoded(Struct, frozen=True, gc=False):
    """A command as it is going to be stored. `checks`: streams and the versions they are expected to have.

    A stream that begins with the command needs none: the log has one place only for the first event of a stream.
    """

    events: list[EncodedEvent]
    checks: list[tuple[StreamId, int]]
    actor: str
    correlation: UUID
    causation: int | None = None
    key: tuple[bytes, bytes] | None = None
    """Its id and the hash of the request."""


class Answer(Struct, frozen=True):
    """What log.append returned. A command is named by the place in the call (1, 2, 3 ...) of one of its events."""

    base: int
    stale: list[int] | None
    repeated: list[int] | None
    repeated_positions: list[int] | None
    reused: list[int] | None

    @classmethod
    def read(cls, row: bytes | None) -> "Answer":
        """From the row's text form."""
        found = _ANSWER.fullmatch(row or b"")
        if found is None:
            raise psycopg.DataError("log.append has answered in another way than is known here.")
        base, *lists = found.groups()
        return cls(int(base), *map(_integers, lists))

    def refused(self) -> dict[int, Outcome]:
        """Those that were not written, by place, and why. If there are any, nothing was written at all."""
        outcomes: dict[int, Outcome] = {place: StaleStreamError() for place in self.stale or ()}
        for place, position in zip(self.repeated or (), self.repeated_positions or (), strict=True):
            outcomes[place] = Appended(Position(position), Position(position), repeated=True)
        return outcomes | {place: key_reused() for place in self.reused or ()}


class Touched(Struct, frozen=True, gc=False):
    """What a command writes (streams, its idempotency key), and the streams that it only rests on."""

    written: list[object]
    guarded: list[object]


def encode(entry: Entry, catalogue: Catalogue) -> Encoded:
    """Raises EventTooLarge, ValueError for an entry without events."""
    events: list[EncodedEvent] = []
    for write in entry.writes:
        for version, event in enumerate(write.events, write.expected + 1):
            state = catalogue.encode(event)
            if len(state) >= MAX_EVENT_BYTES:
                raise EventTooLarge("This is too much to be recorded at once.")
            events.append((write.stream, version, topic(event), state, write.owner))
    if not events:
        raise ValueError("An entry without events cannot be appended.")
    key = entry.key
    return Encoded(
        events,
        [(write.stream, write.expected) for write in entry.writes if write.expected or not write.events],
        entry.actor,
        entry.correlation,
        entry.causation,
        (_request_id(key), key.request_hash) if key else None,
    )


def parameters(commands: Sequence[Encoded]) -> tuple[bytes, ...]:
    """The arguments of log.append for some commands in the order they are to have in the log."""
    streams, versions, topics, states, owners = zip(*chain(*[each.events for each in commands]), strict=True)
    places = list(accumulate([len(each.events) for each in commands], initial=1))[:-1]
    placed = list(zip(places, commands, strict=True))
    checks = [(place, *check) for place, each in placed for check in each.checks]
    check_places, checked, expected = zip(*checks, strict=True) if checks else ((), (), ())
    keyed = [(place, *each.key) for place, each in placed if each.key]
    key_places, keys, hashes = zip(*keyed, strict=True) if keyed else ((), (), ())
    said: tuple[Sequence[object], ...] = (
        *(streams, versions, topics, states, owners),
        [each.actor for each in commands for _ in each.events],
        [each.correlation for each in commands for _ in each.events],
        [each.causation for each in commands for _ in each.events],
    )
    columns = [kind.elements(values) for kind, values in zip(digests.COLUMNS, said, strict=True)]
    return (
        *[kind.joined(column) for kind, column in zip(digests.COLUMNS, columns, strict=True)],
        Integers.of(check_places),
        Uuids.of(checked),
        Bigints.of(expected),
        Integers.of(key_places),
        Ids.of(keys),
        Byteas.of(hashes),
        digests.digests(columns),
    )


def _integers(array: bytes | None) -> list[int] | None:
    """`{1,2,3}`"""
    return None if array is None else [int(each) for each in array.strip(b"{}").split(b",")]


def key_reused() -> KeyReused:
    return KeyReused("This Idempotency-Key was used for another request before.")


def request_id(key: RequestKey) -> UUID:
    """How the log knows an idempotency key: the first half of the SHA-256 of actor, a zero byte and key."""
    return UUID(bytes=_request_id(key))


def _request_id(key: RequestKey) -> bytes:
    return sha256(f"{key.actor}\0{key.key}".encode()).digest()[:16]


def touched(entry: Entry) -> Touched:
    written: list[object] = [write.stream.int for write in entry.writes if write.events]
    if entry.key is not None:
        written.append((entry.key.actor, entry.key.key))
    return Touched(written, [write.stream.int for write in entry.writes if not write.events])
