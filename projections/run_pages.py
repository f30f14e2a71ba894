"""Pages of one's own runs and outputs, the newest first, by whatever is asked of them: a statement for each question.

Run status has the tables and asks. Each order has its index; what else is asked for is looked at on the way along it.
"""

from collections.abc import Collection
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import asdict

from domain.refusals import FieldError, Invalid
from domain.run import Status
from projections.paging import TIMED, bounded, page, timed

SHOWN_THUMBNAILS = 4  # of each run of a list
MAX_WORDS = 200
SHOWN = (Status.QUEUED, Status.RUNNING, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)

RUN = """'id', run.id, 'owner', run.owner, 'workflow', run.workflow, 'workflow_version', run.workflow_version,
    'status', run.status, 'priority', run.priority, 'backend', run.backend, 'epoch', run.epoch,
    'attempts_lost', run.attempts_lost, 'failure', run.failure, 'submitted_at', run.submitted_at,
    'started_at', run.started_at, 'ended_at', run.ended_at, 'not_before', run.not_before,
    'execution_s', run.execution_s, 'position', run.position, 'batch', run.batch, 'place', run.place,
    'rerun_of', run.rerun_of, 'pool', run.pool, 'run_seconds', round(run.run_seconds::numeric, 3),
    'source', json_build_object(
        'kind', coalesce(run.source ->> 'kind', 'workflow'), 'seed', run.source -> 'seed',
        'template', run.source -> 'template', 'version', run.source -> 'version')"""
OUTPUT = """'id', output.id, 'node', output.node, 'index', output.index, 'name', output.name,
    'digest', output.digest, 'media_type', output.media_type, 'size_bytes', output.size_bytes,
    'width', output.width, 'height', output.height, 'starred', output.starred, 'thumbnails', output.thumbnails"""
RENDITION = """coalesce((
        SELECT trait.rendition FROM read.run_traits AS trait WHERE trait.id = run.id
    ), (
        SELECT handling.rendition FROM read.handling AS handling WHERE handling.account = run.owner
    ))"""
"""How the outputs of a run are handed out; null: as they were made."""


class RunFilters(Struct, frozen=True, kw_only=True):
    """None: whichever. `lora`, `model`: the name of a file, with or without its folder. `q`: words of its values."""

    status: str | None = None
    workflow: UUID | None = None
    template: str | None = None
    backend: str | None = None
    lora: str | None = None
    model: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    starred: bool | None = None
    q: str | None = None


class OutputFilters(Struct, frozen=True, kw_only=True):
    """`media_type`: all of it, or what stands before the slash."""

    workflow: UUID | None = None
    starred: bool | None = None
    media_type: str | None = None
    since: datetime | None = None
    until: datetime | None = None


_NAMED = """EXISTS (
    SELECT FROM jsonb_array_elements_text(trait.models) AS model (name)
    WHERE {folder} AND right('/' || model.name, length(%({field})s) + 1) = '/' || %({field})s
)"""
_STARRED = "EXISTS (SELECT FROM read.outputs AS output WHERE output.run = run.id AND output.starred)"
_RUNS = {
    "status": "run.status = %(status)s",
    "workflow": "run.workflow = %(workflow)s",
    "template": "trait.template = %(template)s",
    "backend": "run.backend = %(backend)s",
    "lora": _NAMED.format(folder="model.name LIKE 'loras/%%'", field="lora"),
    "model": _NAMED.format(folder="model.name NOT LIKE 'loras/%%'", field="model"),
    "since": "{at} >= %(since)s",
    "until": "{at} < %(until)s",
    "starred": f"{_STARRED} = %(starred)s",
    "q": "to_tsvector('simple', trait.words) @@ websearch_to_tsquery('simple', %(q)s)",
}
_OF_TRAITS = frozenset({"template", "lora", "model", "q"})
_OUTPUTS = {
    "workflow": "output.workflow = %(workflow)s",
    "starred": "output.starred = %(starred)s",
    "media_type": "%(media_type)s IN (output.media_type, split_part(output.media_type, '/', 1))",
    "since": "output.at >= %(since)s",
    "until": "output.at < %(until)s",
}
_THUMBNAILS = f"""'output_count', (SELECT count(*) FROM read.outputs AS output WHERE output.run = run.id),
    'thumbnails', coalesce((
        SELECT json_agg(first.small ORDER BY first.node, first.index) FROM (
            SELECT output.thumbnails -> 0 AS small, output.node, output.index FROM read.outputs AS output
            WHERE output.run = run.id AND output.thumbnails <> '[]'
            ORDER BY output.node, output.index LIMIT {SHOWN_THUMBNAILS}
        ) AS first
    ), '[]')"""


@lru_cache(maxsize=256)
def runs_page(asked: frozenset[str]) -> bytes:
    """Of the filters that are used."""
    along = "trait" if asked & _OF_TRAITS else "run"
    source = "read.runs AS run"
    if along == "trait":
        source = "read.run_traits AS trait JOIN read.runs AS run ON run.id = trait.id"
    at = f"{along}.submitted_at"
    wanted = "".join(f" AND {_RUNS[name].format(at=at)}" for name in sorted(asked))
    return page(
        f"""SELECT json_build_object({RUN}, {_THUMBNAILS}) AS item, {at} AS at, {along}.id FROM {source}
        WHERE {along}.owner = %(owner)s AND ({at}, {along}.id) < (%(at)s, %(after)s){wanted}
        ORDER BY {at} DESC, {along}.id DESC LIMIT %(limit)s::int + 1""",
        TIMED,
    )


@lru_cache(maxsize=256)
def outputs_page(asked: frozenset[str]) -> bytes:
    """Of the filters that are used."""
    wanted = "".join(f" AND {_OUTPUTS[name]}" for name in sorted(asked))
    return page(
        f"""SELECT {ENTRY} AS item, output.at, output.id
        FROM read.outputs AS output JOIN read.runs AS run ON run.id = output.run
        WHERE output.owner = %(owner)s AND (output.at, output.id) < (%(at)s, %(after)s){wanted}
        ORDER BY output.at DESC, output.id DESC LIMIT %(limit)s::int + 1""",
        TIMED,
    )


ENTRY = f"""json_build_object({OUTPUT}, 'run', output.run, 'workflow', output.workflow, 'made_at', output.at,
    'rendition', {RENDITION})"""


def asked_for(
    filters: RunFilters | OutputFilters, owner: UUID, limit: int, after: str | None
) -> tuple[frozenset[str], dict[str, Any]]:
    """Which filters are used, and the parameters of the page. Raises Invalid."""
    used = {name: value for name, value in asdict(filters).items() if value is not None}
    for name, value in used.items():
        if isinstance(value, str) and (not value or len(value) > MAX_WORDS or "\0" in value):
            reason = f"It must have 1 to {MAX_WORDS} characters, no NUL."
            raise Invalid("This cannot be searched for.", FieldError(name, reason))
    if isinstance(filters, RunFilters):
        _known("status", filters.status, SHOWN)
    at, id = timed(after)
    return frozenset(used), used | {"owner": owner, "at": at, "after": id, "limit": bounded(limit)}


def _known(field: str, value: str | None, known: Collection[str]) -> None:
    if value is not None and value not in known:
        raise Invalid("There is no such status.", FieldError(field, f"One of {', '.join(known)}."))
