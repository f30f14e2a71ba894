"""The call of log.append: commands as its parameters, and its answer to each of them. All doors go through here."""

from collections.abc import Sequence
from functools import cache
from typing import TypeAlias

from msgspec import Struct

from adapters.postgres.arrays import (
    Array,
    Bigints,
    Byteas,
    Integers,
    Texts,
    Uuids,
    bigint,
    bytea,
    integer,
    text,
    uuid,
)
from commands.ports import (
    MAX_EVENT_BYTES,
    Appended,
    Entry,
    EventTooLarge,
    KeyReused,
    StaleStreamError,
)
from domain.catalogue import Catalogue
from domain.event import Event, topic
from domain.ids import Position

_NUMBERED = ", ".join(f"${number}" for number in range(1, 16))
CALL = "log.append(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
PREPARED = "append_commands"
APPEND = f"SELECT base, stale, repeated, repeated_positions, reused FROM {CALL}"
PREPARE = f"PREPARE {PREPARED} AS SELECT base, stale, repeated, repeated_positions, reused FROM log.append({_NUMBERED})"

Outcome: TypeAlias = Appended | StaleStreamError | KeyReused

_EVENT_COLUMNS: tuple[type[Array], ...] = (Uuids, Bigints, Texts, Byteas, Uuids, Texts, Uuids, Bigints)
_CHECK_COLUMNS: tuple[type[Array], ...] = (Uuids, Bigints)
_KEY_COLUMNS: tuple[type[Array], ...] = (Texts, Texts, Byteas)


class Encoded(Struct, frozen=True):
    """A command as elements of the arrays: for each array all of its elements in a row, and how many they are."""

    events: int
    checks: int
    keys: int
    event_columns: tuple[bytes, ...]
    check_columns: tuple[bytes, ...]
    key_columns: tuple[bytes, ...]


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
    events = 0
    streams = versions = topics = states = owners = checked = expected = b""
    for write in entry.writes:
        stream, count = uuid(write.stream), len(write.events)
        events += count
        checked += stream
        expected += bigint(write.expected)
        streams += stream * count
        owners += uuid(write.owner) * count
        for version, event in enumerate(write.events, write.expected + 1):
            state = catalogue.encode(event)
            if len(state) >= MAX_EVENT_BYTES:
                raise EventTooLarge("This is too much to be recorded at once.")
            versions += bigint(version)
            topics += _topic(type(event))
            states += bytea(state)
    if not events:
        raise ValueError("An entry without events cannot be appended.")
    actor, key = text(entry.actor), entry.key
    envelope = (actor * events, uuid(entry.correlation) * events, bigint(entry.causation) * events)
    return Encoded(
        events,
        len(entry.writes),
        int(key is not None),
        (streams, versions, topics, states, owners, *envelope),
        (checked, expected),
        (text(key.actor), text(key.key), bytea(key.request_hash)) if key else (b"", b"", b""),
    )


def parameters(commands: Sequence[Encoded]) -> tuple[Array, ...]:
    """The arguments of log.append for some commands in the order they are to have in the log."""
    places: list[bytes] = []
    place = 1
    for command in commands:
        places.append(integer(place))
        place += command.events
    checks = [command.checks for command in commands]
    keys = [command.keys for command in commands]
    return (
        *_arrays(_EVENT_COLUMNS, place - 1, [command.event_columns for command in commands]),
        Integers.of(sum(checks), [each * count for each, count in zip(places, checks, strict=True)]),
        *_arrays(_CHECK_COLUMNS, sum(checks), [command.check_columns for command in commands]),
        Integers.of(sum(keys), [each * count for each, count in zip(places, keys, strict=True)]),
        *_arrays(_KEY_COLUMNS, sum(keys), [command.key_columns for command in commands]),
    )


def _integers(array: bytes | None) -> list[int] | None:
    """`{1,2,3}`"""
    return None if array is None else [int(each) for each in array.strip(b"{}").split(b",")]


@cache
def _topic(event: type[Event]) -> bytes:
    return text(topic(event))


def _arrays(columns: Sequence[type[Array]], count: int, commands: Sequence[tuple[bytes, ...]]) -> list[Array]:
    return [
        array.of(count, column) for array, column in zip(columns, zip(*commands, strict=True), strict=True)
    ]


def key_reused() -> KeyReused:
    return KeyReused("This Idempotency-Key was used for another request before.")


def touched(entry: Entry) -> Touched:
    written: set[object] = {write.stream for write in entry.writes if write.events}
    if entry.key is not None:
        written.add((entry.key.actor, entry.key.key))
    return Touched(written, {write.stream for write in entry.writes if not write.events})
