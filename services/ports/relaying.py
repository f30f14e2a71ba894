"""What the relay needs of the world: the log as it grows, and the stream it goes into."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from msgspec import Struct

from domain.ids import Position


class StoredRow(Struct, frozen=True, kw_only=True):
    """A row of the log as it is stored: `state` is the event's JSON, passed on without being decoded."""

    position: Position
    stream: UUID
    version: int
    topic: str
    state: bytes
    at: datetime
    owner: UUID | None
    actor: str
    correlation: UUID
    causation: Position | None


class LogTail(Protocol):
    """The log in order, with a wake-up when it grows."""

    async def identity(self) -> UUID:
        """The log's own id: made with the database, kept by backups."""

    async def head(self) -> Position: ...

    async def rows(self, after: Position, limit: int) -> Sequence[StoredRow]: ...

    async def grown(self, timeout_s: float) -> None:
        """Return when something was appended, or after the time-out."""

    def leadership(self, name: str) -> "Leadership": ...


class Leadership(Protocol):
    """Held by one process at a time, as long as its database connection lives."""

    async def __aenter__(self) -> "Leadership":
        """Wait until it is ours."""

    async def __aexit__(self, *exception: Any) -> None: ...

    async def held(self) -> bool:
        """Whether the connection that carries it still lives."""


class FencedError(Exception):
    """The stream does not end where the publisher thought: somebody else published. Look again."""


class StreamUnavailableError(Exception):
    """NATS is away. What was published last may or may not have arrived."""


class EventStream(Protocol):
    """The stream EVENTS: its sequence is the log's position."""

    async def ensure(self, log: UUID, head: Position) -> Position:
        """Make the stream if need be, anew if it belongs to another log. Returns its last sequence.

        `head` is the log's last position: where little is to be refilled, a new stream begins near it.
        """

    async def holds(self, row: StoredRow) -> bool:
        """Whether the stream's message at the row's position is this row, or has aged away."""

    async def forget(self) -> None:
        """Delete the stream: it tells another story than the log, as after a restore."""

    async def publish(self, rows: Sequence[StoredRow]) -> None:
        """Publish consecutive rows in order and wait for all acks. Raises FencedError, StreamUnavailableError."""
