"""The call of log.append: commands as its parameters, and its answer to each of them. All doors go through here."""

from collections.abc import Sequence
from hashlib import sha256
from itertools import accumulate, chain
from typing import TypeAlias
from uuid import UUID

from msgspec import Struct

from adapters.postgres.arrays import (
    Array,
    Bigints,
    Byteas,
    Integers,
    Texts,
    Uuids,
)
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

_NUMBERED = ", ".join(f"${number}" for number in range(1, 15))
CALL = "log.append(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
PREPARED = "append_commands"
APPEND = f"SELECT base, stale, repeated, repeated_positions, reused FROM {CALL}"
PREPARE = f"PREPARE {PREPARED} AS SELECT base, stale, repeated, repeated_positions, reused FROM log.append({_NUMBERED})"

Outcome: TypeAlias = Appended | StaleStreamError | KeyReused

EncodedEvent: TypeAlias = tuple[StreamId, int, str, bytes, AccountId | None]
"""Stream, version, topic, state, owner."""


class Encoded(Struct, frozen=True, gc=False):
    """A command as it is going to be stored. `checks`: streams and the versions they are expected to have."""

    events: list[EncodedEvent]
    checks: list[tuple[StreamId, int]]
    actor: str
    correlation: UUID
    causation: int | None = None
    key: tuple[UUID, bytes] | None = None
    """Its id and the hash of the request."""


class Answer(Struct, frozen=True):
    """What log.append returned. A command is named by the place of its first event in the call: 1, 2, 3 ..."""

    base: int
    stale: list[int] | None
    repeated: list[int] | None
    repeated_positions: list[int] | None
    reused: list[int] | None

    @classmethod
    def read(cls, row: Sequence[bytes | None]) -> "Answer":
        """From the text form of its columns."""
        base, stale, repeated, repeated_positions, reused = row
        assert base is not None
        return cls(
            int(base), _integers(stale), _integers(repeated), _integers(repeated_positions), _integers(reused)
        )

    def refused(self) -> dict[int, Outcome]:
        """Those that were not written, by place, and why. If there are any, nothing was written at all."""
        outcomes: dict[int, Outcome] = {place: StaleStreamError() for place in self.stale or ()}
        for place, position in zip(self.repeated or (), self.repeated_positions or (), strict=True):
            outcomes[place] = Appended(Position(position), Position(position), repeated=True)
        return outcomes | {place: key_reused() for place in self.reused or ()}


class Touched(Struct, frozen=True):
    """What a command writes (streams, its idempotency key), and the streams that it only rests on."""

    written: set[object]
    guarded: set[object]


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
        [(write.stream, write.expected) for write in entry.writes],
        entry.actor,
        entry.correlation,
        entry.causation,
        (request_id(key), key.request_hash) if key else None,
    )


def parameters(commands: Sequence[Encoded]) -> tuple[Array, ...]:
    """The arguments of log.append for some commands in the order they are to have in the log."""
    streams, versions, topics, states, owners = zip(*chain(*[each.events for each in commands]), strict=True)
    places = list(accumulate([len(each.events) for each in commands], initial=1))[:-1]
    checked, expected = zip(*chain(*[each.checks for each in commands]), strict=True)
    keyed = [(place, *each.key) for place, each in zip(places, commands, strict=True) if each.key]
    key_places, keys, hashes = zip(*keyed, strict=True) if keyed else ((), (), ())
    return (
        Uuids.of(streams),
        Bigints.of(versions),
        Texts.of(topics),
        Byteas.of(states),
        Uuids.of(owners),
        Texts.of([each.actor for each in commands for _ in each.events]),
        Uuids.of([each.correlation for each in commands for _ in each.events]),
        Bigints.of([each.causation for each in commands for _ in each.events]),
        Integers.of([place for place, each in zip(places, commands, strict=True) for _ in each.checks]),
        Uuids.of(checked),
        Bigints.of(expected),
        Integers.of(key_places),
        Uuids.of(keys),
        Byteas.of(hashes),
    )


def _integers(array: bytes | None) -> list[int] | None:
    """`{1,2,3}`"""
    return None if array is None else [int(each) for each in array.strip(b"{}").split(b",")]


def key_reused() -> KeyReused:
    return KeyReused("This Idempotency-Key was used for another request before.")


def request_id(key: RequestKey) -> UUID:
    """How the log knows an idempotency key: the first half of the SHA-256 of actor, a zero byte and key."""
    return UUID(bytes=sha256(f"{key.actor}\0{key.key}".encode()).digest()[:16])


def touched(entry: Entry) -> Touched:
    written: set[object] = {write.stream for write in entry.writes if write.events}
    if entry.key is not None:
        written.add((entry.key.actor, entry.key.key))
    return Touched(written, {write.stream for write in entry.writes if not write.events})
