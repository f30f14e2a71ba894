"""Run status: each run as its owner sees it, its outputs, its batch, and the backends that are there to run it."""

from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import msgspec

from domain.backend import BackendEvent
from domain.batch import BatchEvent
from domain.handling import HandlingEvent, Retention
from domain.ids import AccountId, BatchId, OutputId, RunId
from domain.run import RunEvent
from projections.expiry import SHOW, asked_of
from projections.handling_rows import TraitsRow
from projections.paging import TIMED, bounded, page, timed
from projections.projection import Projection
from projections.reading import Cursor, one
from projections.run_pages import (
    ENTRY,
    OUTPUT,
    RUN,
    OutputFilters,
    RunFilters,
    asked_for,
    outputs_page,
    rendition,
    runs_page,
)
from projections.run_rows import RUN_TABLES, OutputRow, RunRow, SourceRow, fold

SHOWN_OUTPUTS = 16  # of each run of a batch; a run by itself shows all


RUN_STATUS = Projection(
    name="run_status",
    version=9,
    sql=Path(__file__).with_suffix(".sql"),
    tables=RUN_TABLES,
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
    about_run = {name: value for name, value in msgspec.structs.asdict(run).items() if name != "starred"}
    return about_run | told


_UNSHOWN = {"run", "owner", "epoch", "at", "workflow"}
_ONE = f"""
SELECT convert_to(json_build_object({RUN}, 'values', run.source -> 'values', 'nodes', run.nodes,
    'rendition', {rendition("run.id", "run.owner")}, 'outputs', coalesce((
    SELECT json_agg(json_build_object({OUTPUT}) ORDER BY output.node, output.index)
    FROM read.outputs AS output WHERE output.run = run.id
), '[]'))::text, 'UTF8')
FROM read.runs AS run WHERE run.id = %(id)s
""".encode()
_BATCH = f"""
SELECT convert_to(json_build_object('id', batch.id, 'varied', batch.varied, 'plan', batch.plan,
    'submitted_at', batch.submitted_at, 'cancelled_at', batch.cancelled_at, 'position', batch.position,
    'total', batch.runs, 'runs', coalesce((
        SELECT json_agg(json_build_object({RUN}, 'rendition', {rendition("run.id", "run.owner")}, 'outputs', coalesce((
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
