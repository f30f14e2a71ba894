"""What executors and dispatch say to each other, and the progress of a run.

Each class is one wire format, JSON over NATS, read by both sides.
"""

from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from msgspec import Raw, Struct

from domain.backend import BackendSeen, Kind
from domain.ids import AccountId, AttemptId, Digest, RunId
from domain.outcome import Course, Failure, NodeTime, Output
from domain.run import SHARED


class ClaimRequest(Struct, frozen=True, kw_only=True):
    """`runs.claim.<executor>`: give me something for this backend. Answered with an Assignment or null.

    `pools`, and `only` whose runs, it serves: dispatch says so, whatever the executor has written there.
    """

    executor: str
    backend: str
    pools: tuple[str, ...] = (SHARED,)
    only: AccountId | None = None


class Assignment(Struct, frozen=True, kw_only=True):
    """One attempt at one run, to be carried out by the executor that asked.

    `graph` is the API graph as JSON bytes where it is small, else None: then it is fetched by `graph_digest`.
    `token` opens `/api/v1/objects/{digest}` for this attempt and expires with its lease. `prompted`: a client
    of ComfyUI sent it, who wants to be told of each node; `extra`: what it sent along, JSON, zlib-packed; None: nothing
    or too much.
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
    prompted: bool = False
    extra: bytes | None = None


class HeldAttempt(Struct, frozen=True):
    run: RunId
    epoch: int


class BackendState(Struct, frozen=True, kw_only=True):
    """What an executor knows of a backend: alive (`sight`), or not and why. `access`: of the order it came with."""

    name: str
    sight: BackendSeen | None
    reason: str = ""
    access: UUID | None = None


class Beat(Struct, frozen=True, kw_only=True):
    """`runs.beat.<executor>`: I live, hold these attempts, and see these backends.

    `drives`: tell me the registered ones that I am to drive.
    """

    executor: str
    attempts: tuple[HeldAttempt, ...]
    backends: tuple[BackendState, ...]
    drives: bool = False


class BackendOrder(Struct, frozen=True, kw_only=True):
    """A registered backend that an executor is to drive. `guarded`: an account says where: look where that leads.

    `access` changes with where it is and what opens it. `slots` 0: as the executor thinks. `kind`: a word, as an older
    executor must be able to read it.
    """

    name: str
    access: UUID
    url: str
    header: str = ""
    value: str = ""
    slots: int = 0
    guarded: bool = False
    kind: str = Kind.COMFYUI

    def __repr__(self) -> str:
        return f"BackendOrder({self.name})"  # credentials must not reach a log


class BeatAnswer(Struct, frozen=True, kw_only=True):
    """`revoked`: attempts that are no longer this executor's, to be stopped. `tokens`: new ones by run id.

    `backends`: the registered ones to drive, and no others; None: as before.
    """

    revoked: tuple[HeldAttempt, ...] = ()
    tokens: dict[str, str] = {}
    backends: tuple[BackendOrder, ...] | None = None


class Part(StrEnum):
    """What a message about a backend's stock holds. The inventory comes last: it names the others."""

    INVENTORY = "inventory"
    CLASSES = "classes"
    """What some node classes tell of themselves."""
    WEB_FILES = "web_files"
    """The list of files for the editor."""
    PIECE = "piece"
    """Of such a file."""


class Stock(Struct, frozen=True, kw_only=True):
    """`runs.stock.<executor>`: what a backend has, zlib-packed. Answered with null."""

    backend: str
    packed: bytes
    part: Part = Part.INVENTORY
    access: UUID | None = None


class OpenRequest(Struct, frozen=True, kw_only=True):
    """`runs.open.<executor>`: which attempts do I hold? Answered with a list of Assignments."""

    executor: str


class Started(Struct, frozen=True, kw_only=True, tag="started"):
    pass


class Stored(Struct, frozen=True, kw_only=True, tag="stored"):
    output: Output


class Succeeded(Struct, frozen=True, kw_only=True, tag="succeeded"):
    execution_s: float
    nodes: tuple[NodeTime, ...] = ()
    course: Course | None = None


class Lost(Struct, frozen=True, kw_only=True, tag="lost"):
    """The attempt came to nothing; whether it is repeated is decided by the domain from the failure's kind."""

    failure: Failure
    execution_s: float = 0.0
    nodes: tuple[NodeTime, ...] = ()
    course: Course | None = None


class HandedBack(Struct, frozen=True, kw_only=True, tag="handed_back"):
    """Nothing has begun, and it is not ours to begin any more: somebody else may at once."""

    reason: str


class Stopped(Struct, frozen=True, kw_only=True, tag="stopped"):
    """A prompt that was cancelled: how far it had come."""

    course: Course


Fact: TypeAlias = Started | Stored | Succeeded | Lost | HandedBack | Stopped


class Report(Struct, frozen=True, kw_only=True):
    """`runs.report.<executor>`: what happened to an attempt, in order. Said again until it is answered."""

    run: RunId
    epoch: int
    facts: tuple[Fact, ...]


class ReportAnswer(Struct, frozen=True, kw_only=True):
    """The facts are in the log (`accepted`), or the attempt no longer holds the run and they are to be dropped."""

    accepted: bool
    reason: str = ""


class Progress(Struct, frozen=True, kw_only=True):
    """`progress.<account>.<run>.step`: how far an attempt is. `percent` is over all nodes, 0 to 100."""

    run: RunId
    epoch: int
    percent: float
    node: str | None = None
    node_class: str | None = None
    value: float = 0
    max: float = 0


class NodesTold(Struct, frozen=True, kw_only=True):
    """`progress.<account>.<run>.nodes`: what the backend said of an attempt's nodes, in order, as ComfyUI words it."""

    run: RunId
    epoch: int
    messages: tuple[Raw, ...]
