"""What the long-running services say to each other, and what they need of the world.

The messages travel as JSON over NATS requests; each class here is one wire format, read by both sides.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from enum import StrEnum
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


class TokenRefusedError(ObjectRefusedError):
    """The claim's token is not (any more) good for this: a beat's answer may bring a new one."""


class ClaimObjects(Protocol):
    """Objects as an executor reaches them: with the token of its claim."""

    async def get(self, digest: Digest, token: str) -> bytes: ...

    async def put(self, digest: Digest, body: bytes, media_type: str, token: str) -> None:
        """Storing the same bytes twice is not an error."""


# --- ports of the executor: a backend


class BackendUnavailableError(Exception):
    """The backend cannot be reached, or answers what makes no sense. What was asked was not done."""


class PromptUncertainError(Exception):
    """Queued or not, nobody knows: look for the attempt before anything else is decided."""


class GraphRefusedError(Exception):
    """The backend will not run this graph, or not all of it: then it is `queued` and has to be stopped."""

    def __init__(self, failure: Failure, *, queued: bool = False) -> None:
        super().__init__(failure.reason)
        self.failure = failure
        self.queued = queued


class OutputMissingError(Exception):
    """The backend reported a file that it does not serve, or one that is too large."""


class BackendFile(Struct, frozen=True, kw_only=True):
    """A file as the backend names it. `node` is the graph's node; names are reused, so it is copied at once."""

    node: str
    filename: str
    subfolder: str
    type: str


class Finished(Struct, frozen=True, kw_only=True, tag="finished"):
    """Executed to the end; `files` in an order that does not depend on how the end was learnt."""

    files: tuple[BackendFile, ...]
    execution_s: float


class Broken(Struct, frozen=True, kw_only=True, tag="broken"):
    failure: Failure


class Interrupted(Struct, frozen=True, kw_only=True, tag="interrupted"):
    """Somebody stopped it: we, or a person at the backend."""


Ending: TypeAlias = Finished | Broken | Interrupted


class Place(StrEnum):
    """Where a backend has an attempt that has not ended."""

    WAITING = "waiting"
    RUNNING = "running"
    NOWHERE = "nowhere"


class Began(Struct, frozen=True):
    attempt: AttemptId


class Advanced(Struct, frozen=True, kw_only=True):
    """`percent` is over all nodes of the graph; `value` of `max` is the node's own progress."""

    attempt: AttemptId
    percent: float
    node: str | None = None
    node_class: str | None = None
    value: float = 0
    max: float = 0


class Previewed(Struct, frozen=True, kw_only=True):
    attempt: AttemptId
    image: bytes
    media_type: str


class Ended(Struct, frozen=True, kw_only=True):
    attempt: AttemptId
    ending: Ending


class Unsettled(Struct, frozen=True):
    """Something happened that signals do not tell: look for the attempts now. May come without need."""


Signal: TypeAlias = Began | Advanced | Previewed | Ended | Unsettled


class BackendSight(Struct, frozen=True, kw_only=True):
    version: str
    device: str


class BackendLink(Protocol):
    """The executor's line to one backend. Its methods raise BackendUnavailableError unless they say more."""

    @property
    def name(self) -> str: ...

    async def listen(self, hear: Callable[[Signal], None]) -> None:
        """Pass on what the backend tells of submitted attempts, until cancelled.

        Signals may be lost or come twice: look as well.
        """

    async def sight(self) -> BackendSight:
        """Whether it lives, and what it is."""

    async def submit(self, attempt: AttemptId, graph: dict[str, Any]) -> None:
        """Queue a graph under the attempt's id. Raises GraphRefusedError, PromptUncertainError as well."""

    def forget(self, attempt: AttemptId) -> None:
        """It has ended, or is given up: no more signals of it."""

    async def look(self, attempts: Sequence[AttemptId]) -> Sequence[Place | Ending]:
        """Where each of them is, from one look at the backend."""

    async def stop(self, attempt: AttemptId) -> None:
        """Ask to stop this attempt and nothing else. Whether it has stopped, `look` tells."""

    async def fetch(self, file: BackendFile, limit_bytes: int) -> bytes:
        """Raises OutputMissingError as well."""


# --- ports of the executor: pictures, and what survives it


class Thumbnail(Struct, frozen=True, kw_only=True):
    body: bytes
    media_type: str
    width: int
    height: int


class Picture(Struct, frozen=True, kw_only=True):
    """Sizes in pixels, as the picture is meant to be looked at; no thumbnails where it cannot be decoded."""

    width: int
    height: int
    media_type: str
    thumbnails: tuple[Thumbnail, ...]


class Imaging(Protocol):
    async def picture(self, body: bytes) -> Picture | None:
        """None: this is not a picture. Never raises for strange bytes."""


class Submitting(Struct, frozen=True, kw_only=True, tag="submitting"):
    """From now on the backend may know of the attempt: it is never submitted again."""

    run: RunId
    epoch: int
    backend: str


class EndedAs(Struct, frozen=True, kw_only=True, tag="ended"):
    """What it came to: from now on the backend need not know of the attempt."""

    ending: Ending


class Settled(Struct, frozen=True, kw_only=True, tag="settled"):
    """Everything there is to report; the outputs are in the object store."""

    facts: tuple[Fact, ...]


SpoolEntry: TypeAlias = Submitting | EndedAs | Settled


class Spool(Protocol):
    """What an executor must know again after kill -9. Small writes: they return before anything else happens."""

    def entries(self) -> dict[AttemptId, tuple[SpoolEntry, ...]]:
        """Everything that is not forgotten, in order."""

    def append(self, attempt: AttemptId, entry: SpoolEntry) -> None: ...

    def forget(self, attempt: AttemptId) -> None:
        """It is acknowledged, or nobody wants it: drop its entries and outputs."""

    async def keep(self, attempt: AttemptId, number: int, body: bytes) -> None:
        """Keep the n-th output until the attempt is forgotten."""

    async def kept(self, attempt: AttemptId, number: int) -> bytes | None: ...


# --- ports of dispatch


class Expired(Struct, frozen=True):
    """An attempt whose lease ran out."""

    run: RunId
    epoch: int
    executor: str


class Revoked(Struct, frozen=True):
    """An attempt that an executor should stop."""

    executor: str
    attempt: HeldAttempt


class RunQueue(Protocol):
    """The queue's order and leases: working state, folded from `run.*` events."""

    async def position(self) -> Position:
        """The last event that is folded in."""

    async def apply(self, events: Sequence[AnyRecorded], upto: Position) -> Sequence[Revoked]:
        """Fold events above the checkpoint; both commit together. Returns held attempts that were cancelled."""

    async def claim(self, request: ClaimRequest, lease_until: datetime) -> "Claimed | None":
        """Pick the next run for this backend, lease it and append run.claimed, in one transaction.

        Raises StaleStreamError when the queue lags behind the log for the run it picked.
        """

    async def renew(
        self, executor: str, attempts: Sequence[HeldAttempt], lease_until: datetime
    ) -> Mapping[HeldAttempt, Digest]:
        """Prolong leases; returns those that are (still) this executor's, with the digests of their graphs."""

    async def held(self, executor: str) -> Sequence["Claimed"]: ...

    async def expired(self, now: datetime) -> Sequence[Expired]: ...

    async def waiting(self) -> bool:
        """Whether a run could be claimed now."""

    async def see_backend(self, name: str, executor: str, live: bool, until: datetime) -> None: ...

    async def lapsed_backends(self, now: datetime) -> Sequence[str]:
        """Backends believed alive whose executor has been silent for too long."""

    async def backend_gone(self, name: str) -> None: ...


class RunLog(Protocol):
    """The log as dispatch follows it."""

    async def head(self) -> Position: ...

    async def after(
        self, position: Position, limit: int, topics: frozenset[str] | None = None
    ) -> Sequence[AnyRecorded]: ...

    async def grown(self, timeout_s: float) -> None:
        """Return when something was appended, or after the time-out."""


class ClaimTokens(Protocol):
    def claim_token(self, run: RunId, epoch: int, graph: Digest, expires_at: datetime) -> str:
        """What opens the graph and takes the outputs of one attempt."""


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
        """Make the stream if need be, anew if it belongs to another log. Returns its last sequence.

        `head` is the log's last position: where little is to be refilled, a new stream begins near it.
        """

    async def holds(self, row: StoredRow) -> bool:
        """Whether the stream's message at the row's position is this row, or has aged away."""

    async def forget(self) -> None:
        """Delete the stream: it tells another story than the log, as after a restore."""

    async def publish(self, rows: Sequence[StoredRow]) -> None:
        """Publish consecutive rows in order and wait for all acks. Raises FencedError, StreamUnavailableError."""


# --- port of those who show a run as it happens


class StepSeen(Struct, frozen=True):
    progress: Progress


class PreviewSeen(Struct, frozen=True):
    image: bytes
    media_type: str


class FactSeen(Struct, frozen=True):
    """An event of the run. Each position comes once; some may be missing after GapFeared."""

    recorded: AnyRecorded


class GapFeared(Struct, frozen=True):
    """The line was down for a while: look at the run itself for what may be missing."""


Sighting: TypeAlias = StepSeen | PreviewSeen | FactSeen | GapFeared


class Watcher(Protocol):
    async def next(self, timeout_s: float) -> Sighting | None:
        """The next thing seen; None after a silence. Who reads too slowly loses the oldest progress."""


class Live(Protocol):
    """What happens to a run, as it happens."""

    def watch(self, account: AccountId, run: RunId) -> AbstractAsyncContextManager[Watcher]:
        """`account` is the run's owner: who may watch was decided before.

        What happens from its beginning on is seen: read the run itself, and its last progress, inside.
        """

    async def last_progress(self, account: AccountId, run: RunId) -> Progress | None:
        """Of the last hour, where it is still known."""
