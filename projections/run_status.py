"""Run status: each run as its owner sees it, its outputs, its batch, and the backends that are there to run it."""

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias, get_args
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from domain.backend import BackendEvent
from domain.batch import BatchCancelled, BatchEvent, BatchSubmitted
from domain.event import AnyRecorded, Event
from domain.ids import AccountId, BatchId, RunId, WorkflowId
from domain.outcome import Failure, Image, NodeTime
from domain.refusals import FieldError, Invalid
from domain.run import (
    SHARED,
    OutputStored,
    RunAttemptLost,
    RunCancelled,
    RunClaimed,
    RunDeleted,
    RunEvent,
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
from projections.paging import TIMED, bounded, page, timed
from projections.projection import Buffer, Projection, Table
from projections.reading import Cursor, one
from projections.rows import Rows

SHOWN_OUTPUTS = 16  # of each run of a batch; a run by itself shows all
SHOWN = (Status.QUEUED, Status.RUNNING, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


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

    `run_seconds`: for how long it kept machines busy, with attempts that came to nothing.
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


def _run(recorded: AnyRecorded) -> Iterable[UUID]:
    event = type(recorded.event)
    return (recorded.stream,) if event in CHANGES or event is RunDeleted else ()


def _lost_outputs(recorded: AnyRecorded) -> Iterable[UUID]:
    return (recorded.stream,) if type(recorded.event) in (RunAttemptLost, RunDeleted) else ()


def _batch(recorded: AnyRecorded) -> Iterable[UUID]:
    return (recorded.stream,) if type(recorded.event) is BatchCancelled else ()


RUNS = Table("runs", RunRow, ("id",), _run, begins=frozenset({RunSubmitted}))
OUTPUTS = Table("outputs", OutputRow, ("run", "node", "index"), _lost_outputs)
BATCHES = Table("batches", BatchRow, ("id",), _batch)


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
            if event.batch is not None:
                run.batch, run.place = event.batch.id, event.batch.place
            buffer["runs"].put(run)
        case RunDeleted():
            buffer["runs"].remove(recorded.stream)
            buffer["outputs"].remove_of(recorded.stream)
        case BatchSubmitted(owner=owner, runs=runs, varied=varied, plan=plan):
            buffer["batches"].put(
                BatchRow(recorded.stream, owner, len(runs), varied, plan.digest, at, recorded.position)
            )
        case BatchCancelled():
            buffer["batches"].change(recorded.stream, cancelled_at=at, position=recorded.position)
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
        )
    )


def _succeeded(run: RunRow, event: RunSucceeded, at: datetime, outputs: Outputs) -> None:
    run.status, run.ended_at, run.failure = Status.SUCCEEDED, at, None
    run.execution_s, run.nodes = event.execution_s, event.nodes or None
    run.run_seconds += event.execution_s


def _attempt_lost(run: RunRow, event: RunAttemptLost, at: datetime, outputs: Outputs) -> None:
    """What the attempt had stored so far does not count: the next one stores it again."""
    run.status, run.started_at, run.failure = Status.QUEUED, None, event.failure
    run.attempts_lost += 1
    run.run_seconds += event.execution_s
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
}
"""What an event changes of its run, whose position is already set."""

RUN_STATUS = Projection(
    name="run_status",
    version=6,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(RUNS, OUTPUTS, BATCHES, BACKENDS),
    fold=fold,
    events=(*get_args(RunEvent), *get_args(BatchEvent), *get_args(BackendEvent)),
    reads=frozenset({"at"}),
)

_RUN = """'id', run.id, 'owner', run.owner, 'workflow', run.workflow, 'workflow_version', run.workflow_version,
    'status', run.status, 'priority', run.priority, 'backend', run.backend, 'epoch', run.epoch,
    'attempts_lost', run.attempts_lost, 'failure', run.failure, 'submitted_at', run.submitted_at,
    'started_at', run.started_at, 'ended_at', run.ended_at, 'not_before', run.not_before,
    'execution_s', run.execution_s, 'position', run.position, 'batch', run.batch, 'place', run.place,
    'rerun_of', run.rerun_of, 'pool', run.pool, 'run_seconds', round(run.run_seconds::numeric, 3),
    'source', json_build_object(
        'kind', coalesce(run.source ->> 'kind', 'workflow'), 'seed', run.source -> 'seed',
        'template', run.source -> 'template', 'version', run.source -> 'version')"""
_OUTPUT = """'node', output.node, 'index', output.index, 'name', output.name, 'digest', output.digest,
    'media_type', output.media_type, 'size_bytes', output.size_bytes, 'width', output.width,
    'height', output.height, 'thumbnails', output.thumbnails"""


def shown(run: RunRow, outputs: Iterable[OutputRow]) -> dict[str, Any]:
    """Rows that are not in Postgres, as _RUN and _OUTPUT write those that are."""
    files = [
        {name: value for name, value in msgspec.structs.asdict(output).items() if name not in _UNSHOWN}
        for output in sorted(outputs, key=lambda output: (output.node, output.index))
    ]
    source = run.source or SourceRow("workflow")
    about = {name: getattr(source, name) for name in ("kind", "seed", "template", "version")}
    told = {"outputs": files, "source": about, "values": source.values}
    return msgspec.structs.asdict(run) | told


_UNSHOWN = {"run", "owner", "epoch", "at"}
_ONE = f"""
SELECT convert_to(json_build_object({_RUN}, 'values', run.source -> 'values', 'nodes', run.nodes, 'outputs', coalesce((
    SELECT json_agg(json_build_object({_OUTPUT}) ORDER BY output.node, output.index)
    FROM read.outputs AS output WHERE output.run = run.id
), '[]'))::text, 'UTF8')
FROM read.runs AS run WHERE run.id = %(id)s
""".encode()
_OWN = page(
    f"""SELECT json_build_object({_RUN}) AS item, run.submitted_at AS at, run.id FROM read.runs AS run
    WHERE run.owner = %(owner)s AND (run.submitted_at, run.id) < (%(at)s, %(after)s)
        AND (%(status)s::text IS NULL OR run.status = %(status)s)
        AND (%(workflow)s::uuid IS NULL OR run.workflow = %(workflow)s)
    ORDER BY run.submitted_at DESC, run.id DESC LIMIT %(limit)s::int + 1""",
    TIMED,
)
_BATCH = f"""
SELECT convert_to(json_build_object('id', batch.id, 'varied', batch.varied, 'plan', batch.plan,
    'submitted_at', batch.submitted_at, 'cancelled_at', batch.cancelled_at, 'position', batch.position,
    'total', batch.runs, 'runs', coalesce((
        SELECT json_agg(json_build_object({_RUN}, 'outputs', coalesce((
            SELECT json_agg(json_build_object({_OUTPUT}) ORDER BY output.node, output.index)
            FROM (
                SELECT node, index, name, digest, media_type, width, height, size_bytes, thumbnails
                FROM read.outputs WHERE run = run.id ORDER BY node, index LIMIT {SHOWN_OUTPUTS}
            ) AS output
        ), '[]')) ORDER BY run.place)
        FROM read.runs AS run WHERE run.batch = batch.id
    ), '[]'))::text, 'UTF8')
FROM read.batches AS batch WHERE batch.id = %(id)s
""".encode()
_OWN_BATCHES = page(
    """SELECT json_build_object('id', batch.id, 'varied', batch.varied, 'total', batch.runs,
        'submitted_at', batch.submitted_at, 'cancelled_at', batch.cancelled_at, 'position', batch.position,
        'progress', (
            SELECT json_build_object(
                'queued', count(*) FILTER (WHERE run.status = 'queued'),
                'running', count(*) FILTER (WHERE run.status = 'running'),
                'succeeded', count(*) FILTER (WHERE run.status = 'succeeded'),
                'failed', count(*) FILTER (WHERE run.status = 'failed'),
                'cancelled', count(*) FILTER (WHERE run.status = 'cancelled')
            ) FROM read.runs AS run WHERE run.batch = batch.id
        )) AS item, batch.submitted_at AS at, batch.id FROM read.batches AS batch
    WHERE batch.owner = %(owner)s AND (batch.submitted_at, batch.id) < (%(at)s, %(after)s)
    ORDER BY batch.submitted_at DESC, batch.id DESC LIMIT %(limit)s::int + 1""",
    TIMED,
)
_OUTPUT_AT = f"""
SELECT convert_to(json_build_object({_OUTPUT})::text, 'UTF8') FROM read.outputs AS output
WHERE output.run = %(run)s AND output.node = %(node)s AND output.index = %(index)s
""".encode()
_LIVE = b"SELECT count(*) FROM read.backends WHERE live AND NOT draining"
_BACKEND = """json_build_object('name', name, 'own', owner IS NOT NULL, 'pool', pool, 'live', live,
    'draining', draining, 'registered', registered, 'executor', executor, 'slots', slots,
    'comfyui_version', comfyui_version, 'device', device, 'vram_bytes', vram_bytes, 'node_classes', node_classes,
    'checkpoints', checkpoints, 'loras', loras, 'other_models', other_models, 'reason', reason, 'since', since)"""
_BACKENDS = f"""
SELECT convert_to(json_build_object('items', coalesce(json_agg({_BACKEND} ORDER BY name), '[]'))::text, 'UTF8')
FROM (SELECT name, owner, pool, live, draining, registered, executor, slots, comfyui_version, device, vram_bytes,
        node_classes, checkpoints, loras, other_models, reason, since
    FROM read.backends ORDER BY name LIMIT 1000) AS backend
""".encode()
_ONE_BACKEND = f"""
SELECT convert_to({_BACKEND}::text, 'UTF8') FROM read.backends WHERE name = %(name)s
""".encode()


async def run(cursor: Cursor, id: RunId) -> bytes | None:
    """One's own run with its outputs."""
    return await one(cursor, _ONE, {"id": id})


async def own_runs(
    cursor: Cursor,
    owner: AccountId,
    limit: int,
    after: str | None = None,
    *,
    status: str | None = None,
    workflow: WorkflowId | None = None,
) -> bytes:
    """An account's runs, newest first, without their outputs. Raises Invalid."""
    if status is not None and status not in SHOWN:
        raise Invalid("There is no such status.", FieldError("status", f"One of {', '.join(SHOWN)}."))
    at, id = timed(after)
    parameters: dict[str, Any] = {"owner": owner, "at": at, "after": id, "limit": bounded(limit)}
    return await one(cursor, _OWN, parameters | {"status": status, "workflow": workflow}) or b""


async def batch(cursor: Cursor, id: BatchId) -> bytes | None:
    """One's own batch with its runs, in order, and the first outputs of each."""
    return await one(cursor, _BATCH, {"id": id})


async def own_batches(cursor: Cursor, owner: AccountId, limit: int, after: str | None = None) -> bytes:
    """An account's batches, newest first, and how many of their runs are where. Raises Invalid."""
    at, id = timed(after)
    parameters = {"owner": owner, "at": at, "after": id, "limit": bounded(limit)}
    return await one(cursor, _OWN_BATCHES, parameters) or b""


async def output(cursor: Cursor, run: RunId, node: str, index: int) -> bytes | None:
    """One file of one's own run."""
    return await one(cursor, _OUTPUT_AT, {"run": run, "node": node, "index": index})


async def live_backends(cursor: Cursor) -> int:
    """How many backends could run something now."""
    await cursor.execute(_LIVE, prepare=True)
    ((count,),) = await cursor.fetchall()
    return int(count)


async def backends(cursor: Cursor) -> bytes:
    """Everybody's, and one's own."""
    return await one(cursor, _BACKENDS, {}) or b""


async def backend(cursor: Cursor, name: str) -> bytes | None:
    return await one(cursor, _ONE_BACKEND, {"name": name})
