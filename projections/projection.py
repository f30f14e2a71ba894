"""What a read model is: tables, and a fold over the log that changes complete rows in a buffer.

Before a fold runs, the rows it may read or change are loaded: each table says which, by the first column of
its key (`touched`). The fold works in memory; what it changed is flushed together with the checkpoint.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from domain.catalogue import UPCASTS
from domain.event import AnyRecorded, Event, topic
from domain.ids import Position, StreamId
from projections.rows import Rows

R = TypeVar("R", bound=Struct)

ENVELOPE = frozenset({"version", "at", "owner", "actor", "correlation", "causation"})


def nothing(_: AnyRecorded) -> tuple[()]:
    """The fold only adds rows to this table."""
    return ()


def by_stream(recorded: AnyRecorded) -> tuple[StreamId]:
    """The usual case: the rows of the aggregate itself."""
    return (recorded.stream,)


class Table(Struct, Generic[R], frozen=True):
    """One table of a read model. Columns are the fields of `row`, in order; `key` names the primary key's."""

    name: str
    row: type[R]
    key: tuple[str, ...]
    touched: Callable[[AnyRecorded], Iterable[Any]] = nothing
    """Values of the key's first column whose rows the fold may read or change at this event."""
    touched_at: frozenset[type[Event]] | None = None
    """The only events at which `touched` names anything; None = any."""
    begins: frozenset[type[Event]] = frozenset()
    """Events that a stream begins with: before them nothing is stored under its id, and nothing need be loaded."""
    grows_only: bool = False
    """Rows are added and never looked at again: they need not be kept in memory."""


class Undecodable(Event, frozen=True, kw_only=True, tag="undecodable"):
    """Stands in the place of a stored event that this program cannot read. Never stored itself."""

    topic_name: str
    reason: str


Buffer = Mapping[str, Rows[Any]]
"""The rows of each table, by the table's name."""


Open: TypeAlias = Callable[[Sequence[AnyRecorded]], Awaitable[Sequence[AnyRecorded]]]
"""Gives events the text of their personal fields, where their account's key is still there."""


class Projection(Struct, frozen=True):
    """A read model. `version` is raised with every change of the fold or the tables: it is then built anew."""

    name: str
    version: int
    sql: Path
    """Creates the tables with bare names, and below the line `-- once loaded` keys, indexes and policies."""
    tables: tuple[Table[Any], ...]
    fold: Callable[[AnyRecorded, Buffer], None]
    events: tuple[type[Event], ...] | None = None
    """The events the fold looks at; None = all. Others are neither decoded nor folded."""
    reads: frozenset[str] = ENVELOPE
    """What the fold reads of the envelope beside position and stream: a rebuild fetches nothing else."""
    unhurried: bool = False
    """Nobody waits for it: it takes in what has come when the log pauses, and not each event by itself."""
    personal: bool = False
    """Whether the fold is to see personal fields opened. Then `opened_by` has to say who opens them."""
    open: Open | None = None

    async def opened(self, events: Sequence[AnyRecorded]) -> Sequence[AnyRecorded]:
        """The events as the fold is to see them. Raises what `open` raises."""
        if not self.personal:
            return events
        if self.open is None:
            raise TypeError(f"{self.name} shows personal fields, but nobody opens them for it.")
        return await self.open(events)

    @property
    def topics(self) -> frozenset[str] | None:
        """The stored topics that are read as one of `events`, older ones included."""
        if self.events is None:
            return None
        current = {topic(event) for event in self.events}
        return frozenset(current | {old for old in UPCASTS if _newest(old) in current})


class Page(Struct, frozen=True):
    """Consecutive events. Every position up to `upto` is accounted for, also where topics were left out."""

    events: list[AnyRecorded]
    upto: Position


class Feed(Protocol):
    """Where the runner gets new events from, fast; what it misses it reads from the log."""

    async def next(self, after: Position, timeout_s: float) -> list[AnyRecorded]:
        """Events above a position as they arrive, in order, perhaps with a gap; empty after a silence."""


class Log(Protocol):
    """The log itself: slower to ask, never wrong."""

    async def after(self, position: Position, limit: int, topics: frozenset[str] | None = None) -> Page:
        """What stands at the next `limit` positions; what cannot be read is there as Undecodable."""

    async def head(self) -> Position: ...


def opened_by(projections: Mapping[str, Projection], open: Open) -> dict[str, Projection]:
    """The read models, ready to be built by the runner or anew."""
    return {name: replace(projection, open=open) for name, projection in projections.items()}


def _newest(name: str) -> str:
    while name in UPCASTS:
        name = UPCASTS[name][0]
    return name
