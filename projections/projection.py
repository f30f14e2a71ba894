"""What a read model is: tables, a fold over the log, and the buffer of rows the fold changes.

A fold sees complete rows: the runner has loaded the rows whose keys the projection names in `keys`, so a
fold reads, changes and writes them in memory, and the runner flushes what changed.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from domain.event import AnyRecorded
from domain.ids import Position, StreamId

Key = Any  # a table's primary key: one value, or a tuple in the order of the table's `key` columns
R = TypeVar("R", bound=Struct)


class Table(Struct, Generic[R], frozen=True):
    """One table of a read model. Columns are the fields of `row`, in order; `key` names the primary key's."""

    name: str
    row: type[R]
    key: tuple[str, ...]
    keys: Callable[[AnyRecorded], Iterable[Key]]
    """The rows that this event may change: what the runner loads before the fold."""


class Rows(Generic[R]):
    """The rows of one table that a batch has touched."""

    def __init__(self, table: Table[R]) -> None:
        self.table = table
        self.loaded: dict[Key, R | None] = {}
        self.changed: set[Key] = set()
        key = table.key
        self._single = key[0] if len(key) == 1 else None

    def get(self, key: Key) -> R | None:
        return self.loaded.get(key)

    def put(self, row: R) -> None:
        """Insert or replace."""
        key = (
            getattr(row, self._single)
            if self._single
            else tuple(getattr(row, name) for name in self.table.key)
        )
        self.loaded[key] = row
        self.changed.add(key)

    def change(self, key: Key, **fields: Any) -> None:
        """Set some fields of a row; a row that is gone stays gone."""
        row = self.loaded.get(key)
        if row is None:
            return
        for name, value in fields.items():
            setattr(row, name, value)
        self.changed.add(key)

    def remove(self, key: Key) -> None:
        if self.loaded.get(key) is not None:
            self.loaded[key] = None
            self.changed.add(key)


Buffer = Mapping[str, Rows[Any]]
"""The rows of each table, by the table's name."""


class Projection(Struct, frozen=True):
    """A read model. `version` is raised with every change of the fold or the tables: it is then built anew."""

    name: str
    version: int
    sql: Path
    """Creates the tables, indexes and row policies, with bare names: each build has a schema of its own."""
    tables: tuple[Table[Any], ...]
    fold: Callable[[AnyRecorded, Buffer], None]
    topics: frozenset[str] | None = None
    """The topics the fold looks at; None = all. Others are neither decoded nor folded."""


class UnreadableEventError(Exception):
    """The event at `position` has a topic or a form that this version of the program cannot read."""

    def __init__(self, position: Position, topic: str, reason: str) -> None:
        super().__init__(f"The event {topic!r} at position {position} cannot be read: {reason}")
        self.position = position
        self.topic = topic


class Feed(Protocol):
    """Where the runner gets new events from, fast; what it misses it reads from the log."""

    async def next(self, after: Position, timeout_s: float) -> list[AnyRecorded]:
        """Events above a position as they arrive, in order, perhaps with a gap; empty after a silence.

        Raises UnreadableEventError once everything before that event was handed out.
        """


class Log(Protocol):
    """The log itself: slower to ask, never wrong."""

    async def after(
        self, position: Position, limit: int, topics: frozenset[str] | None = None
    ) -> list[AnyRecorded]:
        """The next events in order. Positions left out by `topics` are not gaps."""

    async def head(self) -> Position: ...


def by_stream(recorded: AnyRecorded) -> tuple[StreamId]:
    """The usual key: one row for each aggregate."""
    return (recorded.stream,)
