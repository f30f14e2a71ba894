"""What run status is folded into: runs, their outputs and batches, beside backends and how things are handled."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.batch import BatchCancelled, BatchSubmitted
from domain.event import AnyRecorded, Event
from domain.handling import RenditionChosen, RetentionChosen
from domain.ids import AccountId, RunId, WorkflowId, output_id
from domain.outcome import Failure, Image, NodeTime
from domain.run import (
    SHARED,
    OutputDeleted,
    OutputStarred,
    OutputStored,
    OutputUnstarred,
    RunAttemptLost,
    RunCancelled,
    RunClaimed,
    RunDeleted,
    RunFailed,
    RunRequeued,
    RunRevived,
    RunStarted,
    RunSubmitted,
    RunSucceeded,
    Status,
    source_of,
)
from domain.source import ParametersSource, TemplateSource
from projections.backend_rows import BACKENDS, fold_backend
from projections.handling_rows import HANDLING, TRAITS, fold_handling, fold_traits
from projections.projection import Buffer, Table, by_stream
from projections.rows import Rows


class SourceRow(Struct, frozen=True):
    """Of a run that does not execute a workflow as it stands. `values`: the digest of its parameters or values.

    `version`: the digest of its template, form and graph, as it was.
    """

    kind: str
    seed: int | None = None
    values: str | None = None
    template: str | None = None
    version: str | None = None


class RunRow(Struct, gc=False):
    """`position`: the last event that changed it. `failure`: of the last lost attempt, until one succeeds.

    `run_seconds`: for how long it kept machines busy, with attempts that came to nothing. `starred`: how many of its
    outputs are.
    """

    id: UUID
    owner: AccountId
    workflow: WorkflowId | None
    workflow_version: int | None
    status: Status
    priority: int
    position: int
    submitted_at: datetime
    backend: str | None = None
    epoch: int = 0
    attempts_lost: int = 0
    failure: Failure | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    not_before: datetime | None = None
    execution_s: float | None = None
    source: SourceRow | None = None
    batch: UUID | None = None
    place: int | None = None
    rerun_of: UUID | None = None
    nodes: tuple[NodeTime, ...] | None = None
    pool: str = SHARED
    run_seconds: float = 0.0
    starred: int = 0


class BatchRow(Struct, gc=False):
    """`plan`: the digest of what was varied for each of its runs."""

    id: UUID
    owner: AccountId
    runs: int
    varied: tuple[str, ...]
    plan: str
    submitted_at: datetime
    position: int
    cancelled_at: datetime | None = None


class OutputRow(Struct, gc=False):
    run: UUID
    node: str
    index: int
    owner: AccountId
    epoch: int
    digest: str
    name: str
    media_type: str
    size_bytes: int
    width: int
    height: int
    thumbnails: tuple[Image, ...]
    at: datetime
    id: UUID
    workflow: WorkflowId | None = None
    starred: bool = False


CHANGE_OUTPUTS: frozenset[type[Event]] = frozenset(
    {RunAttemptLost, RunDeleted, OutputStarred, OutputUnstarred, OutputDeleted}
)


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    event, at = recorded.event, recorded.at
    if change := CHANGES.get(type(event)):
        if run := buffer["runs"].edit(recorded.stream):
            run.position = recorded.position
            change(run, event, at, buffer["outputs"])
        return
    match event:
        case RunSubmitted():
            position, status = recorded.position, Status.QUEUED
            number, priority = event.workflow_version, event.priority
            run = RunRow(recorded.stream, event.owner, event.workflow, number, status, priority, position, at)
            run.source, run.rerun_of, run.pool = _source(event), event.rerun_of, event.pool
            fold_traits(recorded, buffer["run_traits"])
            if event.batch is not None:
                run.batch, run.place = event.batch.id, event.batch.place
            buffer["runs"].put(run)
        case RunDeleted():
            buffer["runs"].remove(recorded.stream)
            buffer["outputs"].remove_of(recorded.stream)
            fold_traits(recorded, buffer["run_traits"])
        case BatchSubmitted(owner=owner, runs=runs, varied=varied, plan=plan):
            buffer["batches"].put(
                BatchRow(recorded.stream, owner, len(runs), varied, plan.digest, at, recorded.position)
            )
        case BatchCancelled():
            buffer["batches"].change(recorded.stream, cancelled_at=at, position=recorded.position)
        case RenditionChosen() | RetentionChosen():
            fold_handling(event, buffer["handling"])
        case _:
            fold_backend(event, at, buffer["backends"])


def _source(event: RunSubmitted) -> SourceRow | None:
    if event.source is None and event.seed is None:
        return None  # as most are
    source = source_of(event)
    row = SourceRow(str(source.__struct_config__.tag), event.seed)
    match source:
        case ParametersSource(values=values):
            return replace(row, values=values.digest)
        case TemplateSource(template=template, version=version, values=values):
            return replace(row, values=values.digest, template=template, version=version.digest)
        case _:
            return row


Outputs: TypeAlias = Rows[OutputRow]


def _claimed(run: RunRow, event: RunClaimed, at: datetime, outputs: Outputs) -> None:
    run.epoch, run.backend, run.not_before = event.epoch, event.backend, None


def _started(run: RunRow, event: RunStarted, at: datetime, outputs: Outputs) -> None:
    run.status, run.backend, run.started_at = Status.RUNNING, event.backend, at


def _output_stored(run: RunRow, event: OutputStored, at: datetime, outputs: Outputs) -> None:
    output = event.output
    outputs.put(
        OutputRow(
            run.id,
            output.node,
            output.index,
            run.owner,
            event.epoch,
            output.digest,
            output.name,
            output.media_type,
            output.size_bytes,
            output.width,
            output.height,
            output.thumbnails,
            at,
            output_id(RunId(run.id), output.node, output.index),
            run.workflow,
        )
    )


def _starred(run: RunRow, event: OutputStarred, at: datetime, outputs: Outputs) -> None:
    outputs.change((run.id, event.node, event.index), starred=True)
    _count_starred(run, outputs)


def _unstarred(run: RunRow, event: OutputUnstarred, at: datetime, outputs: Outputs) -> None:
    outputs.change((run.id, event.node, event.index), starred=False)
    _count_starred(run, outputs)


def _output_deleted(run: RunRow, event: OutputDeleted, at: datetime, outputs: Outputs) -> None:
    outputs.remove((run.id, event.node, event.index))
    _count_starred(run, outputs)


def _count_starred(run: RunRow, outputs: Outputs) -> None:
    run.starred = sum(output.starred for output in outputs.of(run.id))


def _succeeded(run: RunRow, event: RunSucceeded, at: datetime, outputs: Outputs) -> None:
    run.status, run.ended_at, run.failure = Status.SUCCEEDED, at, None
    run.execution_s, run.nodes = event.execution_s, event.nodes or None
    run.run_seconds += event.execution_s


def _attempt_lost(run: RunRow, event: RunAttemptLost, at: datetime, outputs: Outputs) -> None:
    """What the attempt had stored so far does not count: the next one stores it again."""
    run.status, run.started_at, run.failure = Status.QUEUED, None, event.failure
    run.attempts_lost += 1
    run.run_seconds += event.execution_s
    run.starred = 0
    outputs.remove_of(run.id)


def _requeued(run: RunRow, event: RunRequeued, at: datetime, outputs: Outputs) -> None:
    run.not_before, run.backend = event.not_before, None


def _failed(run: RunRow, event: RunFailed, at: datetime, outputs: Outputs) -> None:
    run.status, run.ended_at, run.failure = Status.FAILED, at, event.failure
    run.execution_s, run.nodes = event.execution_s or None, event.nodes or None


def _cancelled(run: RunRow, event: RunCancelled, at: datetime, outputs: Outputs) -> None:
    if run.started_at is not None:
        run.run_seconds += (at - run.started_at).total_seconds()  # nobody else says for how long it ran
    run.status, run.ended_at = Status.CANCELLED, at


def _revived(run: RunRow, event: RunRevived, at: datetime, outputs: Outputs) -> None:
    run.status, run.ended_at, run.failure = Status.QUEUED, None, None
    run.not_before, run.backend, run.started_at = event.not_before, None, None


# found by type: a class pattern that does not fit costs an event 0.1 us, and there are millions
CHANGES: dict[type[Event], Callable[[RunRow, Any, datetime, Outputs], None]] = {
    RunClaimed: _claimed,
    RunStarted: _started,
    OutputStored: _output_stored,
    RunSucceeded: _succeeded,
    RunAttemptLost: _attempt_lost,
    RunRequeued: _requeued,
    RunFailed: _failed,
    RunCancelled: _cancelled,
    RunRevived: _revived,
    OutputStarred: _starred,
    OutputUnstarred: _unstarred,
    OutputDeleted: _output_deleted,
}
"""What an event changes of its run, whose position is already set."""

CHANGE_RUNS: frozenset[type[Event]] = frozenset((*CHANGES, RunDeleted))
RUNS = Table("runs", RunRow, ("id",), by_stream, CHANGE_RUNS, begins=frozenset({RunSubmitted}))
OUTPUTS = Table("outputs", OutputRow, ("run", "node", "index"), by_stream, CHANGE_OUTPUTS)
BATCHES = Table("batches", BatchRow, ("id",), by_stream, frozenset({BatchCancelled}))
RUN_TABLES: tuple[Table[Any], ...] = (RUNS, OUTPUTS, TRAITS, BATCHES, BACKENDS, HANDLING)
