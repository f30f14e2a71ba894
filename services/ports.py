"""What the long-running services say to each other, and what they need of the world.

The messages travel as JSON over NATS requests; each class here is one wire format, read by both sides.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeAlias
from uuid import UUID

from msgspec import Struct

from domain.backend import BackendSeen
from domain.event import AnyRecorded
from domain.ids import AccountId, AttemptId, Digest, Position, RunId
from domain.run import Failure, Output

# --- executor -> dispatch


class ClaimRequest(Struct, frozen=True, kw_only=True):
    """`runs.claim.<executor>`: give me something for this backend. Answered with an Assignment or null."""

    executor: str
    backend: str


class Assignment(Struct, frozen=True, kw_only=True):
    """One attempt at one run, to be carried out by the executor that asked.

    `graph` is the API graph as JSON bytes where it is small, else None: then it is fetched by `graph_digest`.
    `token` opens `/api/v1/objects/{digest}` for this attempt and expires with its lease.
    """

    run: RunId
    epoch: int
    attempt: AttemptId
    owner: AccountId
    backend: str
    graph_digest: Digest
    graph: bytes | None
    token: str
    timeout_s: int
    lease_s: float


class HeldAttempt(Struct, frozen=True):
    run: RunId
    epoch: int


class BackendState(Struct, frozen=True, kw_only=True):
    """What an executor knows of a backend: alive (`sight`), or not and why."""

    name: str
    sight: BackendSeen | None
    reason: str = ""


class Beat(Struct, frozen=True, kw_only=True):
    """`runs.beat.<executor>`: I live, hold these attempts, and see these backends."""

    executor: str
    attempts: tuple[HeldAttempt, ...]
    backends: tuple[BackendState, ...]


class BeatAnswer(Struct, frozen=True, kw_only=True):
    """`revoked`: attempts that are no longer this executor's, to be stopped. `tokens`: new ones by run id."""

    revoked: tuple[HeldAttempt, ...] = ()
    tokens: dict[str, str] = {}


class OpenRequest(Struct, frozen=True, kw_only=True):
    """`runs.open.<executor>`: which attempts do I hold? Answered with a list of Assignments."""

    executor: str


class Started(Struct, frozen=True, kw_only=True, tag="started"):
    pass


class Stored(Struct, frozen=True, kw_only=True, tag="stored"):
    output: Output


class Succeeded(Struct, frozen=True, kw_only=True, tag="succeeded"):
    execution_s: float


class Lost(Struct, frozen=True, kw_only=True, tag="lost"):
    """The attempt came to nothing; whether it is repeated is decided by the domain from the failure's kind."""

    failure: Failure


Fact: TypeAlias = Started | Stored | Succeeded | Lost


class Report(Struct, frozen=True, kw_only=True):
    """`runs.report.<executor>`: what happened to an attempt, in order. Said again until it is answered."""

    run: RunId
    epoch: int
    facts: tuple[Fact, ...]


class ReportAnswer(Struct, frozen=True, kw_only=True):
    """The facts are in the log (`accepted`), or the attempt no longer holds the run and they are to be dropped."""

    accepted: bool
    reason: str = ""


# --- progress: lossy, never in the log


class Progress(Struct, frozen=True, kw_only=True):
    """`progress.<account>.<run>.step`: how far an attempt is. `percent` is over all nodes, 0 to 100."""

    run: RunId
    epoch: int
    percent: float
    node: str | None = None
    node_class: str | None = None
    value: float = 0
    max: float = 0


# --- ports of the executor


class DispatchUnavailableError(Exception):
    """Nobody answered: NATS or dispatch is away. The question may be asked again."""


class DispatchLink(Protocol):
    """The executor's line to dispatch. Every method raises DispatchUnavailableError."""

    async def claim(self, request: ClaimRequest) -> Assignment | None: ...

    async def open(self, request: OpenRequest) -> Sequence[Assignment]: ...

    async def beat(self, beat: Beat) -> BeatAnswer: ...

    async def report(self, executor: str, report: Report) -> ReportAnswer: ...

    async def progress(self, owner: AccountId, progress: Progress) -> None:
        """Fire and forget; dropped while disconnected."""

    async def preview(self, owner: AccountId, run: RunId, image: bytes, media_type: str) -> None:
        """`progress.<account>.<run>.preview`, body = the image, header `Content-Type`. Dropped when over 256 KB."""

    def on_wake(self, callback: Callable[[], None]) -> None:
        """Call when there may be something to claim (`runs.wake.<pool>`)."""

    def on_cancel(self, callback: Callable[[HeldAttempt], None]) -> None:
        """Call when an attempt should stop (`exec.<executor>.cancel`); a lost hint is repaired by the next beat."""


class ObjectsUnavailableError(Exception):
    """The object store cannot be reached just now."""


class ObjectRefusedError(Exception):
    """The object store answered no: expired token, too large, wrong digest."""


class ClaimObjects(Protocol):
    """Objects as an executor reaches them: with the token of its claim."""

    async def get(self, digest: Digest, token: str) -> bytes: ...

    async def put(self, digest: Digest, body: bytes, media_type: str, token: str) -> None:
        """Storing the same bytes twice is not an error."""


# --- ports of dispatch


class Expired(Struct, frozen=True):
    """An attempt whose lease ran out."""

    run: RunId
    epoch: int
    executor: str


class RunQueue(Protocol):
    """The queue's order and leases: working state, folded from `run.*` and `backend.*` events."""

    async def position(self) -> Position:
        """The last event that is folded in."""

    async def apply(self, events: Sequence[AnyRecorded], upto: Position) -> None:
        """Fold events above the checkpoint; both commit together."""

    async def claim(self, request: ClaimRequest, lease_until: datetime) -> "Claimed | None":
        """Pick the next run for this backend, lease it and append run.claimed, in one transaction."""

    async def renew(
        self, executor: str, attempts: Sequence[HeldAttempt], lease_until: datetime
    ) -> Sequence[HeldAttempt]:
        """Prolong leases; returns the attempts that are not (any more) this executor's."""

    async def held(self, executor: str) -> Sequence["Claimed"]: ...

    async def expired(self, now: datetime) -> Sequence[Expired]: ...

    async def waiting(self) -> int:
        """How many runs could be claimed now."""


class Claimed(Struct, frozen=True, kw_only=True):
    run: RunId
    epoch: int
    owner: AccountId
    backend: str
    graph: Digest
    timeout_s: int
    position: Position


Responder: TypeAlias = Callable[[str, bytes], Awaitable[bytes]]
"""Answers one request: the executor's name out of the subject, the body; returns the answer's body."""


class DispatchServer(Protocol):
    """Where dispatch listens, in a queue group with its peers, and what it calls out."""

    async def serve(self, responders: dict[str, Responder]) -> None:
        """Listen on `runs.<verb>.<executor>` for each verb."""

    async def wake(self) -> None:
        """Tell executors that there may be something to claim."""

    async def cancel(self, executor: str, attempt: HeldAttempt) -> None: ...


# --- ports of the relay


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
        """Make the stream if need be, anew if it belongs to another log or is ahead of it. Returns its last sequence."""

    async def publish(self, rows: Sequence[StoredRow]) -> None:
        """Publish consecutive rows in order and wait for all acks. Raises FencedError, StreamUnavailableError."""
