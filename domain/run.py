"""A run: one execution of its source. It waits, is claimed and started by an executor, and ends once.

Each attempt has an epoch, 1, 2, 3 ...; what an executor reports is accepted only for the attempt it holds.
Outputs belong to their attempt: those of a lost attempt do not count.
"""

from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event
from domain.ids import AccountId, BatchId, Digest, RunId, WorkflowId
from domain.outcome import RETRIED, Course, Failure, FailureKind, NodeTime, Output
from domain.reasons import stated
from domain.refusals import Conflict, FieldError, Invalid, NotFound
from domain.rendition import Rendition
from domain.source import (
    GraphSource,
    ParametersSource,
    PromptSource,
    Source,
    TemplateSource,
    WorkflowSource,
)
from domain.workflow import Content, Requirements

SHARED = "shared"
"""The pool that everybody's runs may use."""


class InBatch(Struct, frozen=True):
    """Its batch, and its place there: 0, 1, 2 ..."""

    id: BatchId
    place: int


class Charge(Struct, frozen=True, kw_only=True):
    """What a claim adds to its account's virtual time, in microseconds; put right by what the attempt really takes.

    `clock_us`: how far service had come in the pool. `skipped_us`: what the account had not been waiting for, to come
    there. `run_us`: what a run of its takes, over its `weight`.
    """

    clock_us: int
    skipped_us: int
    run_us: int
    weight: float


class RunSubmitted(Event, frozen=True, kw_only=True, tag="run.submitted.v1"):
    """`workflow` and its version, or another `source`: see `source_of`.

    `seed`: what the seeds of the graph were set to; None: they are as the source has them. `inputs`: the digests of
    the owner's pictures that the graph loads. `words`: the beginning of what its values say in words. `rendition`: how
    its pictures are handed out; None: as its owner wants all of them.
    """

    owner: AccountId
    workflow: WorkflowId | None = None
    workflow_version: int | None = None
    graph: Content
    requirements: Requirements = Requirements()
    priority: int = 5
    timeout_s: int = 300
    source: ParametersSource | TemplateSource | GraphSource | PromptSource | None = None
    seed: int | None = None
    batch: InBatch | None = None
    rerun_of: RunId | None = None
    inputs: tuple[Digest, ...] = ()
    pool: str = SHARED
    words: str = ""
    rendition: Rendition | None = None


class RunClaimed(Event, frozen=True, kw_only=True, tag="run.claimed.v1"):
    """`charge`: None before accounts had shares."""

    epoch: int
    backend: str
    executor: str
    charge: Charge | None = None


class RunStarted(Event, frozen=True, kw_only=True, tag="run.started.v1"):
    epoch: int
    backend: str


class OutputStored(Event, frozen=True, kw_only=True, tag="run.output_stored.v1"):
    epoch: int
    output: Output


class RunSucceeded(Event, frozen=True, kw_only=True, tag="run.succeeded.v1"):
    """`nodes`: of those that took longest, where their times were heard. `course`: of a prompt."""

    epoch: int
    execution_s: float
    outputs: int
    backend: str = ""
    nodes: tuple[NodeTime, ...] = ()
    course: Course | None = None


class RunAttemptLost(Event, frozen=True, kw_only=True, tag="run.attempt_lost.v1"):
    """`execution_s`: for how long it kept the backend busy, where somebody knows."""

    epoch: int
    failure: Failure
    execution_s: float = 0.0
    backend: str = ""
    nodes: tuple[NodeTime, ...] = ()


class RunRequeued(Event, frozen=True, kw_only=True, tag="run.requeued.v1"):
    """`reason`: why, where the executor has handed it back; then no attempt was lost."""

    not_before: datetime
    reason: str = ""


class RunFailed(Event, frozen=True, kw_only=True, tag="run.failed.v1"):
    """The rest is of the last attempt. `course`: of a prompt."""

    failure: Failure
    execution_s: float = 0.0
    backend: str = ""
    nodes: tuple[NodeTime, ...] = ()
    course: Course | None = None


class RunCancelled(Event, frozen=True, kw_only=True, tag="run.cancelled.v1"):
    by: AccountId


class RunStopped(Event, frozen=True, kw_only=True, tag="run.stopped.v1"):
    """How far a prompt's attempt had come when it was stopped: the last node of its course was being executed."""

    epoch: int
    course: Course


class RunDeleted(Event, frozen=True, kw_only=True, tag="run.deleted.v1"):
    """Its owner wants to see it no more. Its outputs go where nothing else needs them; its history stays.

    `outputs`: how many those are.
    """

    outputs: int = 0


class RunRevived(Event, frozen=True, kw_only=True, tag="run.revived.v1"):
    """It had failed, not by its own fault; an administrator has put it back into the queue."""

    not_before: datetime
    reason: str


class RunDismissed(Event, frozen=True, kw_only=True, tag="run.dismissed.v1"):
    """A ComfyUI client wants to see it in its history no more. Everywhere else it stays, with its outputs."""


class OutputStarred(Event, frozen=True, kw_only=True, tag="run.output_starred.v1"):
    """Its owner wants to find it again."""

    node: str
    index: int


class OutputUnstarred(Event, frozen=True, kw_only=True, tag="run.output_unstarred.v1"):
    node: str
    index: int


class OutputDeleted(Event, frozen=True, kw_only=True, tag="run.output_deleted.v1"):
    """It is out of sight, and goes where nothing else needs it. `reason`: the rule of its owner that it fell under."""

    node: str
    index: int
    size_bytes: int
    reason: str = ""


RunEvent: TypeAlias = (
    RunSubmitted
    | RunClaimed
    | RunStarted
    | OutputStored
    | RunSucceeded
    | RunAttemptLost
    | RunRequeued
    | RunFailed
    | RunCancelled
    | RunStopped
    | RunDeleted
    | RunRevived
    | RunDismissed
    | OutputStarred
    | OutputUnstarred
    | OutputDeleted
)


class Status(StrEnum):
    UNKNOWN = "unknown"
    QUEUED = "queued"
    CLAIMED = "claimed"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELETED = "deleted"


OVER = {Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.DELETED}
MIN_PRIORITY, MAX_PRIORITY = 1, 10
MAX_TIMEOUT_S = 24 * 3600


class Run(Struct, frozen=True):
    """`outputs`: node, index and size in bytes of each; `starred` and `removed` name them by node and index."""

    owner: AccountId | None = None
    status: Status = Status.UNKNOWN
    epoch: int = 0
    executor: str = ""
    backend: str = ""
    lost_attempts: int = 0
    out_of_memory: int = 0
    outputs: tuple[tuple[str, int, int], ...] = ()
    starred: frozenset[tuple[str, int]] = frozenset()
    removed: frozenset[tuple[str, int]] = frozenset()
    graph: Content | None = None
    timeout_s: int = 0
    failure: FailureKind | None = None
    dismissed: bool = False
    stopped: bool = False


def evolve(run: Run, event: RunEvent) -> Run:
    match event:
        case RunSubmitted(owner=owner, graph=graph, timeout_s=timeout_s):
            return Run(owner=owner, status=Status.QUEUED, graph=graph, timeout_s=timeout_s)
        case RunClaimed(epoch=epoch, executor=executor, backend=backend):
            return replace(
                run, status=Status.CLAIMED, epoch=epoch, executor=executor, backend=backend, outputs=()
            )
        case RunStarted():
            return replace(run, status=Status.RUNNING)
        case OutputStored(output=output):
            return replace(run, outputs=(*run.outputs, (output.node, output.index, output.size_bytes)))
        case RunSucceeded():
            return replace(run, status=Status.SUCCEEDED)
        case RunAttemptLost(failure=failure):
            out_of_memory = run.out_of_memory + (failure.kind is FailureKind.OUT_OF_MEMORY)
            return replace(run, lost_attempts=run.lost_attempts + 1, out_of_memory=out_of_memory, outputs=())
        case RunRequeued():
            return replace(run, status=Status.QUEUED, executor="", backend="")
        case RunFailed(failure=failure):
            return replace(run, status=Status.FAILED, failure=failure.kind)
        case RunCancelled():
            return replace(run, status=Status.CANCELLED)
        case RunStopped():
            return replace(run, stopped=True)
        case RunDeleted():
            return Run(owner=run.owner, status=Status.DELETED, epoch=run.epoch)
        case RunRevived():
            waiting = replace(run, status=Status.QUEUED, executor="", backend="", failure=None)
            return replace(waiting, lost_attempts=0, out_of_memory=0, outputs=())
        case RunDismissed():
            return replace(run, dismissed=True)
        case OutputStarred(node=node, index=index):
            return replace(run, starred=run.starred | {(node, index)})
        case OutputUnstarred(node=node, index=index):
            return replace(run, starred=run.starred - {(node, index)})
        case OutputDeleted(node=node, index=index):
            gone = (node, index)
            outputs = tuple(each for each in run.outputs if each[:2] != gone)
            return replace(run, outputs=outputs, starred=run.starred - {gone}, removed=run.removed | {gone})


RUN: Decider[Run, RunEvent] = Decider("run", Run(), evolve, lambda run: run.owner, shape=4)


def warmth(requirements: Requirements) -> str:
    """A word for the models a run needs: the same for runs with the same ones, empty for one that needs none."""
    models = "\n".join(sorted(requirements.models))
    return sha256(models.encode()).hexdigest()[:16] if models else ""


def source_of(submitted: RunSubmitted) -> Source:
    """What the run executes. Runs of workflows are stored as they were before there was anything else."""
    if submitted.source is not None:
        return submitted.source
    if submitted.workflow is None or submitted.workflow_version is None:
        return GraphSource()
    return WorkflowSource(submitted.workflow, submitted.workflow_version)


def submit(run: Run, *, submitted: RunSubmitted) -> list[RunEvent]:
    """Put a run into the queue."""
    if run.status is not Status.UNKNOWN:
        raise Conflict("This run exists already.")
    if not MIN_PRIORITY <= submitted.priority <= MAX_PRIORITY:
        raise Invalid(
            "The priority is out of range.",
            FieldError("priority", f"It must be {MIN_PRIORITY} to {MAX_PRIORITY}."),
        )
    if not 1 <= submitted.timeout_s <= MAX_TIMEOUT_S:
        raise Invalid(
            "The timeout is out of range.", FieldError("timeout_s", f"It must be 1 to {MAX_TIMEOUT_S}.")
        )
    return [submitted]


def cancel(run: Run, *, by: AccountId) -> list[RunEvent]:
    """Stop a run its owner no longer wants. Asking twice is not an error."""
    owned(run, by=by)
    if run.status is Status.CANCELLED:
        return []
    if run.status in OVER:
        raise Conflict(f"The run has already {run.status}.")
    return [RunCancelled(by=by)]


def delete(run: Run, *, by: AccountId) -> list[RunEvent]:
    """Put a run that is over out of sight, with its outputs. Asking twice is not an error."""
    if run.owner == by and run.status is Status.DELETED:
        return []
    owned(run, by=by)
    if run.status not in OVER:
        raise Conflict("The run is not over yet. Cancel it first.")
    return [RunDeleted(outputs=len(run.outputs))]


def dismiss(run: Run, *, by: AccountId) -> list[RunEvent]:
    """Leave a run that is over out of the history of ComfyUI's clients. Asking twice is not an error."""
    owned(run, by=by)
    return [] if run.dismissed or run.status not in OVER else [RunDismissed()]


def owned(run: Run, *, by: AccountId) -> None:
    """Raises NotFound: a stranger must not learn which ids exist."""
    if run.owner != by or run.status in (Status.UNKNOWN, Status.DELETED):
        raise NotFound("There is no such run.")


def revive(run: Run, *, now: datetime, reason: str) -> list[RunEvent]:
    """Put a run back that failed for want of a machine. It goes on with a new attempt, and may be retried again."""
    given = stated(reason)
    if run.status in (Status.UNKNOWN, Status.DELETED):
        raise NotFound("There is no such run.")
    if run.status is not Status.FAILED:
        raise Conflict("The run has not failed.")
    if run.failure not in RETRIED:
        raise Conflict("The run would fail the same way again.")
    return [RunRevived(not_before=now, reason=given)]
