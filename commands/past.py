"""Things as they were: their events up to a moment, folded by the domain's own deciders."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Generic, TypeAlias, TypeVar

from msgspec import Struct

from commands.ports import EventLog
from domain.event import AnyRecorded, Decider, Event, kind, topic
from domain.ids import Position, StreamId
from domain.refusals import FieldError, Invalid, NotFound

S = TypeVar("S")
E = TypeVar("E", bound=Event)

FORMS = "A position (1234), a time (2026-11-21T12:00:00Z) or a version (v3)."
NUMBER = re.compile(r"[0-9]{1,18}")
VERSION = re.compile(r"[vV]([0-9]{1,18})")
TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d(?:\.\d{1,9})?)([Zz]|[+ -]\d\d:\d\d)", re.ASCII)


class AtPosition(Struct, frozen=True):
    """After the event at a position of the whole log, and all before it."""

    position: Position


class AtTime(Struct, frozen=True):
    """After everything that had been recorded by then."""

    at: datetime


class AtVersion(Struct, frozen=True):
    """When its version of that number had just come about."""

    number: int


Moment: TypeAlias = AtPosition | AtTime | AtVersion


class Past(Struct, Generic[S], frozen=True):
    """`then` is folded from `events`, of which there may be none; `now` from all there are."""

    then: S
    now: S
    events: Sequence[AnyRecorded]


def read_moment(text: str) -> Moment:
    """Digits alone are a position, `v` and digits a version, anything else an RFC 3339 time. Raises Invalid."""
    if NUMBER.fullmatch(text):
        return AtPosition(Position(int(text)))
    if match := VERSION.fullmatch(text):
        return AtVersion(int(match[1]))
    if match := TIME.fullmatch(text):
        day, clock, zone = match.groups()
        zone = zone.replace(" ", "+")  # what a plus becomes in a query that was not quoted
        try:
            return AtTime(datetime.fromisoformat(f"{day}T{clock}{zone.upper()}"))
        except ValueError:
            pass
    raise Invalid("This is not a moment.", FieldError("as_of", FORMS))


async def as_it_was(
    log: EventLog,
    decider: Decider[S, E],
    stream: StreamId,
    moment: Moment,
    is_version: Callable[[Event], bool] = lambda _: True,
) -> Past[S]:
    """`is_version`: which events make a new version of it. An id of something else is one of nothing.

    Raises LogUnavailableError.
    """
    events = await log.read(stream)
    if any(kind(topic(recorded.event)) != decider.kind for recorded in events):
        events = ()
    upto = _upto(events, moment, is_version)
    return Past(
        then=decider.fold(decider.initial, [recorded.event for recorded in upto]),
        now=decider.fold(decider.initial, [recorded.event for recorded in events]),
        events=upto,
    )


def there(found: bool, what: str) -> None:
    """Raises NotFound: the same for what never was, what was not yet, and what is not theirs to see."""
    if not found:
        raise NotFound(f"There is no such {what}, or there was none then.")


def _upto(
    events: Sequence[AnyRecorded], moment: Moment, is_version: Callable[[Event], bool]
) -> Sequence[AnyRecorded]:
    match moment:
        case AtPosition(position=position):
            return [recorded for recorded in events if recorded.position <= position]
        case AtTime(at=at):
            return [recorded for recorded in events if recorded.at <= at]
        case AtVersion(number=number):
            places = [place for place, recorded in enumerate(events, 1) if is_version(recorded.event)]
            return events[: places[number - 1]] if 1 <= number <= len(places) else ()
