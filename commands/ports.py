"""What the commands need of the world: the log and the few things that cannot be decided by rules alone."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from domain.event import AnyRecorded, Event
from domain.ids import AccountId, Actor, Digest, Position, RunId, StreamId
from domain.limits import Quota, Standing
from domain.refusals import Conflict

MAX_EVENT_BYTES = 65_536


class RequestKey(Struct, frozen=True):
    """A client's Idempotency-Key and the hash of the request it came with: one answer for all repeats."""

    actor: Actor
    key: str
    request_hash: bytes


class Write(Struct, frozen=True):
    """New events of one stream. `expected` is the stream's version before them, 0 for a new stream.

    Without events it is a guard: the entry is stale if the stream has moved on.
    """

    stream: StreamId
    expected: int
    events: tuple[Event, ...]
    owner: AccountId | None


class Entry(Struct, frozen=True, kw_only=True):
    """What one command appends: all of its writes or none of them."""

    writes: tuple[Write, ...]
    actor: Actor
    correlation: UUID
    causation: Position | None = None
    key: RequestKey | None = None


class Appended(Struct, frozen=True):
    """Where an entry stands in the log. `repeated`: the key was known, nothing new was written."""

    first: Position
    last: Position
    repeated: bool = False


class Snapshot(Struct, frozen=True):
    """An aggregate's encoded state at a version; `shape` names the state's class and its meaning."""

    version: int
    shape: str
    state: bytes


class StaleStreamError(Exception):
    """Somebody else appended to the stream first."""


class OutcomeUnknownError(Exception):
    """The connection was lost while appending: it may have happened or not. Read again before deciding again."""


class LogUnavailableError(Exception):
    """The log cannot be reached, or too many commands wait for it. Nothing was written."""


class WrongDigest(Conflict):
    """The bytes sent are not the object that was named."""


class ObjectTooLarge(Conflict):
    """More bytes than an object of this kind may have."""


class ObjectMissingError(Exception):
    """There is no such object."""


class ObjectsAwayError(Exception):
    """The object store cannot be reached just now, or did not answer to the end. Asking again soon makes sense."""


class EventTooLarge(Conflict):
    """An event must be smaller than MAX_EVENT_BYTES: what is large is kept beside the log."""


class KeyReused(Conflict):
    """The same Idempotency-Key came with another request."""


class Outdated(Conflict):
    """The thing has changed since the one who asks has looked at it."""


class EventLog(Protocol):
    async def append(self, entry: Entry) -> Appended:
        """Raises StaleStreamError, KeyReused, EventTooLarge, OutcomeUnknownError, LogUnavailableError.

        An entry without events is a ValueError.
        """

    async def answered(self, key: RequestKey) -> Position | None:
        """The first position of what this key wrote. Raises KeyReused."""

    async def read(self, stream: StreamId, after: int = 0) -> Sequence[AnyRecorded]:
        """A stream's events above a version, in order."""

    async def at(self, position: Position) -> AnyRecorded | None: ...

    async def load(self, stream: StreamId) -> tuple[Snapshot | None, Sequence[AnyRecorded]]:
        """The newest snapshot, if there is one, and the events after it."""

    async def keep_snapshot(self, stream: StreamId, snapshot: Snapshot) -> None: ...


class Contents(Protocol):
    """Graphs and other documents beside the log, compressed, never changed, never removed."""

    async def put(self, body: bytes) -> Digest: ...

    async def put_all(self, bodies: Sequence[bytes]) -> Sequence[Digest]:
        """In the same order; all of them, when it returns."""

    async def get(self, digest: Digest) -> bytes | None: ...


class Listed(Struct, frozen=True):
    """An object that is there, and since when: storing it again counts."""

    digest: Digest
    size_bytes: int
    stored_at: datetime


class Download(Struct, frozen=True):
    """How whoever follows a link is given an object: `disposition` says under which name, to be shown or kept."""

    media_type: str
    disposition: str


class Objects(Protocol):
    """Files of any size by the SHA-256 of their bytes. Every method raises ObjectsAwayError."""

    async def put(self, digest: Digest, chunks: AsyncIterator[bytes], limit_bytes: int) -> int:
        """Returns the size in bytes. Raises WrongDigest, ObjectTooLarge, OSError; then nothing is kept.

        Where it is there already it counts as stored now.
        """

    async def size(self, digest: Digest) -> int | None:
        """In bytes; None: there is none."""

    def read(self, digest: Digest, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` and before `end`, in pieces. Raises ObjectMissingError before the first."""

    async def link(self, digest: Digest, download: Download) -> str | None:
        """A URL that gives the object to whoever has it, for some minutes. None: ask `read` and pass it on."""

    async def place(self, arrival: str, size_bytes: int) -> str | None:
        """A URL that so many bytes may be PUT to, for some minutes. None: there is none, give them to `put`."""

    async def take(self, arrival: str, digest: Digest, limit_bytes: int) -> int:
        """Keep what has arrived at its place, as `put` does.

        Returns the size in bytes. Raises ObjectMissingError, WrongDigest, ObjectTooLarge; then nothing is kept.
        """

    async def remove(self, digest: Digest, settled_before: datetime) -> bool:
        """Whether it is gone: one that was stored since then stays, as somebody may be about to refer to it."""

    def listed(self) -> AsyncIterator[Listed]:
        """All there are, in no order. What comes or goes meanwhile may be among them or not."""


class Admissions(Protocol):
    """Who may have how many runs waiting. Every method raises LogUnavailableError."""

    async def admit(
        self,
        owner: AccountId,
        pool: str,
        runs: Sequence[RunId],
        decide: Callable[[Standing], Sequence[Quota]],
    ) -> Sequence[Quota]:
        """Let these runs in if `decide` does, which sees all that were let in before. Raises what it raises."""

    async def release(self, runs: Sequence[RunId]) -> None:
        """They were let in, but are not going to be submitted. Those that nobody releases count for a minute."""


class Clock(Protocol):
    def __call__(self) -> datetime: ...
