"""A fact, and a fact as it stands in the log.

The tag of an event class is its stored topic (`run.cancelled.v1`): classes may move, topics never change.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from msgspec import Struct

from domain.ids import AccountId, Actor, Position, StreamId


class Event(Struct, frozen=True, kw_only=True, tag_field="topic", gc=False):
    """What has happened to one aggregate. Small, without secrets, never edited once stored."""


E = TypeVar("E", bound=Event)
E_co = TypeVar("E_co", bound=Event, covariant=True)
S = TypeVar("S")


class Recorded(Struct, Generic[E_co], frozen=True, kw_only=True, gc=False):
    """An event with its place in the log and its envelope: whose thing, by whom, as part and because of what."""

    position: Position
    stream: StreamId
    version: int
    at: datetime
    owner: AccountId | None
    actor: Actor
    correlation: UUID
    causation: Position | None
    event: E_co


class Decider(Struct, Generic[S, E], frozen=True):
    """An aggregate as three values: how it begins, how an event changes it, and whose it is.

    `shape` is raised when the state Struct changes its meaning, so that older snapshots are not read.
    """

    kind: str
    initial: S
    evolve: Callable[[S, E], S]
    owner: Callable[[S], AccountId | None]
    shape: int = 1

    def fold(self, state: S, events: Sequence[E]) -> S:
        for event in events:
            state = self.evolve(state, event)
        return state


def topic(event: Event | type[Event]) -> str:
    """The stored name of an event."""
    return str(event.__struct_config__.tag)


def kind(topic_name: str) -> str:
    """`run.output_stored.v1` -> `run`."""
    return topic_name.partition(".")[0]


AnyDecider = Decider[Any, Any]
AnyRecorded = Recorded[Any]

ACCOUNT = re.compile(r"[0-9a-f-]{36}")  # among actors
STAFF = Actor("staff")
"""In the place of an account that keeps order, or operates: who it is is told to no owner."""


def is_staffs(recorded: AnyRecorded) -> bool:
    """Whether another account than its owner has done it. What others do by themselves are things of their own."""
    actor = recorded.actor
    return recorded.owner is not None and actor != str(recorded.owner) and bool(ACCOUNT.fullmatch(actor))
