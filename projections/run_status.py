"""Run status: each run as its owner sees it, its outputs, its batch, and the backends that are there to run it."""

from collections.abc import Callable, Collection, Iterable
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
from domain.handling import HandlingEvent, RenditionChosen, Retention, RetentionChosen
from domain.ids import AccountId, BatchId, OutputId, RunId, WorkflowId, output_id
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
from projections.expiry import SHOW, asked_of
from projections.handling_rows import HANDLING, TRAITS, TraitsRow, fold_handling, fold_traits
from projections.paging import TIMED, bounded, page, timed
from projections.projection import Buffer, Projection, Table
from projections.reading import Cursor, one
from projections.rows import Rows
from projections.run_pages import (
    ENTRY,
    OUTPUT,
    RENDITION,
    RUN,
    OutputFilters,
    RunFilters,
    asked_for,
    outputs_page,
    runs_page,
)

SHOWN_OUTPUTS = 16  # of each run of a batch; a run by itself shows all


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
    id: UUID
    workflow: WorkflowId | None = None
    starred: bool = False


def _run(recorded: AnyRecorded) -> Iterable[UUID]:
    event = type(recorded.event)
    return (recorded.stream,) if event in CHANGES or event is RunDeleted else ()


def _changed_outputs(recorded: AnyRecorded) -> Iterable[UUID]:
    return (recorded.stream,) if type(recorded.event) in CHANGE_OUTPUTS else ()


def _batch(recorded: AnyRecorded) -> Iterable[UUID]:
    return (recorded.stream,) if type(recorded.event) is BatchCancelled else ()


RUNS = Table("runs", RunRow, ("id",), _run, begins=frozenset({RunSubmitted}))
OUTPUTS = Table("outputs", OutputRow, ("run", "node", "index"), _changed_outputs)
BATCHES = Table("batches", BatchRow, ("id",), _batch)
CHANGE_OUTPUTS = frozenset({RunAttemptLost, RunDeleted, OutputStarred, OutputUnstarred, OutputDeleted})


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


def _unstarred(run: RunRow, event: OutputUnstarred, at: datetime, outputs: Outputs) -> None:
    outputs.change((run.id, event.node, event.index), starred=False)


def _output_deleted(run: RunRow, event: OutputDeleted, at: datetime, outputs: Outputs) -> None:
    outputs.remove((run.id, event.node, event.index))


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
    OutputStarred: _starred,
    OutputUnstarred: _unstarred,
    OutputDeleted: _output_deleted,
}
"""What an event changes of its run, whose position is already set."""

RUN_STATUS = Projection(
    name="run_status",
    version=7,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(RUNS, OUTPUTS, TRAITS, BATCHES, BACKENDS, HANDLING),
    fold=fold,
    events=(*get_args(RunEvent), *get_args(BatchEvent), *get_args(BackendEvent), *get_args(HandlingEvent)),
    reads=frozenset({"at"}),
)


def shown(run: RunRow, outputs: Iterable[OutputRow], traits: Iterable[TraitsRow] = ()) -> dict[str, Any]:
    """Rows that are not in Postgres, as RUN and OUTPUT write those that are."""
    files = [
        {name: value for name, value in msgspec.structs.asdict(output).items() if name not in _UNSHOWN}
        for output in sorted(outputs, key=lambda output: (output.node, output.index))
    ]
    source = run.source or SourceRow("workflow")
    about = {name: getattr(source, name) for name in ("kind", "seed", "template", "version")}
    rendition = next((each.rendition for each in traits), None)
    told = {"outputs": files, "source": about, "values": source.values, "rendition": rendition}
    return msgspec.structs.asdict(run) | told


_UNSHOWN = {"run", "owner", "epoch", "at", "workflow"}
_ONE = f"""
SELECT convert_to(json_build_object({RUN}, 'values', run.source -> 'values', 'nodes', run.nodes,
    'rendition', {RENDITION}, 'outputs', coalesce((
    SELECT json_agg(json_build_object({OUTPUT}) ORDER BY output.node, output.index)
    FROM read.outputs AS output WHERE output.run = run.id
), '[]'))::text, 'UTF8')
FROM read.runs AS run WHERE run.id = %(id)s
""".encode()
_BATCH = f"""
SELECT convert_to(json_build_object('id', batch.id, 'varied', batch.varied, 'plan', batch.plan,
    'submitted_at', batch.submitted_at, 'cancelled_at', batch.cancelled_at, 'position', batch.position,
    'total', batch.runs, 'runs', coalesce((
        SELECT json_agg(json_build_object({RUN}, 'rendition', {RENDITION}, 'outputs', coalesce((
            SELECT json_agg(json_build_object({OUTPUT}) ORDER BY output.node, output.index)
            FROM (
                SELECT id, node, index, name, digest, media_type, width, height, size_bytes, starred, thumbnails
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
SELECT convert_to(json_build_object({OUTPUT})::text, 'UTF8') FROM read.outputs AS output
WHERE output.run = %(run)s AND output.node = %(node)s AND output.index = %(index)s
""".encode()
_OUTPUT_WITH_RUN = f"""
SELECT convert_to(json_build_object('output', {ENTRY}, 'run', json_build_object(
    {RUN}, 'values', run.source -> 'values'))::text, 'UTF8')
FROM read.outputs AS output JOIN read.runs AS run ON run.id = output.run WHERE output.id = %(id)s
""".encode()
_SOME_OUTPUTS = f"""
SELECT convert_to(coalesce(json_agg({ENTRY}), '[]')::text, 'UTF8')
FROM read.outputs AS output JOIN read.runs AS run ON run.id = output.run WHERE output.id = ANY (%(ids)s)
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
    filters: RunFilters = RunFilters(),
) -> bytes:
    """An account's runs, newest first, without their outputs but with some thumbnails. Raises Invalid."""
    asked, parameters = asked_for(filters, owner, limit, after)
    return await one(cursor, runs_page(asked), parameters) or b""


async def own_outputs(
    cursor: Cursor,
    owner: AccountId,
    limit: int,
    after: str | None = None,
    *,
    filters: OutputFilters = OutputFilters(),
) -> bytes:
    """An account's outputs, newest first. Raises Invalid."""
    asked, parameters = asked_for(filters, owner, limit, after)
    return await one(cursor, outputs_page(asked), parameters) or b""


async def own_output(cursor: Cursor, id: OutputId) -> bytes | None:
    """One of one's own, with its run."""
    return await one(cursor, _OUTPUT_WITH_RUN, {"id": id})


async def some_outputs(cursor: Cursor, ids: Collection[OutputId]) -> bytes:
    """Those of one's own among them, in no order."""
    return await one(cursor, _SOME_OUTPUTS, {"ids": list(ids)}) or b""


async def going(cursor: Cursor, owner: AccountId, retention: Retention, now: datetime) -> bytes:
    """What an account keeps, and what of it falls under a rule at an instant."""
    return await one(cursor, SHOW, asked_of(owner, retention, now)) or b""


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
