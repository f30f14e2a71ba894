"""Pages of one's own runs and outputs, the newest first, by whatever is asked of them: a statement for each question.

Run status has the tables and asks. Each order has its index, and so have the questions that many ask; what else is
asked for is looked at on the way along it, a stretch for each page. Whatever is shown beside is looked up for the rows
of a page only: joined, all of an account's would be read.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import asdict

from domain.refusals import FieldError, Invalid
from domain.run import Status
from projections.paging import STRETCH, TIMED, bounded, page, timed, walk

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


def rendition(run: str, owner: str) -> str:
    """How the outputs of a run are handed out; null: as they were made."""
    return f"""coalesce((
        SELECT trait.rendition FROM read.run_traits AS trait WHERE trait.id = {run}
    ), (
        SELECT handling.rendition FROM read.handling AS handling WHERE handling.account = {owner}
    ))"""


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
_TRAITS = {
    "lora": _NAMED.format(folder="model.name LIKE 'loras/%%'", field="lora"),
    "model": _NAMED.format(folder="model.name NOT LIKE 'loras/%%'", field="model"),
    "q": "to_tsvector('simple', trait.words) @@ websearch_to_tsquery('simple', %(q)s)",
}
_RUNS = {
    "status": "run.status = %(status)s",
    "workflow": "run.workflow = %(workflow)s",
    "backend": "run.backend = %(backend)s",
    "starred": "(run.starred > 0) = %(starred)s",
}
# What is walked along has an index for these, or begins and ends by them.
_ALONG_TRAITS = {
    "template": "trait.template = %(template)s",
    "since": "trait.submitted_at >= %(since)s",
    "until": "trait.submitted_at < %(until)s",
}
_ALONG_RUNS = {
    "workflow": "run.workflow = %(workflow)s",
    "since": "run.submitted_at >= %(since)s",
    "until": "run.submitted_at < %(until)s",
    "open": "run.ended_at IS NULL",
    "starred only": "run.starred > 0",
}
_ALONG_OUTPUTS = {
    "workflow": "output.workflow = %(workflow)s",
    "since": "output.at >= %(since)s",
    "until": "output.at < %(until)s",
    "starred only": "output.starred",
}
_OUTPUTS = {
    "starred": "output.starred = %(starred)s",
    "media_type": "%(media_type)s IN (output.media_type, split_part(output.media_type, '/', 1))",
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
    """Of the filters that are used, and what follows of their values: `open`, `starred only`."""
    if asked & (_TRAITS.keys() | {"template"}):
        return _page(
            f"""SELECT json_build_object({RUN}, {_THUMBNAILS}) AS item, trait.submitted_at AS at, trait.id
            FROM ({{stretch}}) AS trait
            CROSS JOIN LATERAL (SELECT * FROM read.runs WHERE id = trait.id OFFSET 0) AS run""",
            ("read.run_traits", "trait", "submitted_at"),
            (_ALONG_TRAITS, _TRAITS | _RUNS),
            asked,
        )
    return _page(
        f"""SELECT json_build_object({RUN}, {_THUMBNAILS}) AS item, run.submitted_at AS at, run.id
        FROM ({{stretch}}) AS run""",
        ("read.runs", "run", "submitted_at"),
        (_ALONG_RUNS, _RUNS),
        asked,
    )


@lru_cache(maxsize=256)
def outputs_page(asked: frozenset[str]) -> bytes:
    """Of the filters that are used, and what follows of their values: `starred only`."""
    return _page(
        f"SELECT {ENTRY} AS item, output.at, output.id FROM ({{stretch}}) AS output",
        ("read.outputs", "output", "at"),
        (_ALONG_OUTPUTS, _OUTPUTS),
        asked,
    )


def _page(
    shown: str,
    order: tuple[str, str, str],
    conditions: tuple[dict[str, str], dict[str, str]],
    asked: frozenset[str],
) -> bytes:
    """`order`: the table that is walked along, its name here and its column of time. `conditions`: those of the walk,
    and those that each of its rows is looked at for."""
    table, it, at = order
    along, looked_at = conditions
    source = f"""FROM {table} AS {it}
        WHERE {it}.owner = %(owner)s AND ({it}.{at}, {it}.id) < (%(at)s, %(after)s){_all(along, asked)}
        ORDER BY {it}.{at} DESC, {it}.id DESC"""
    rest = (
        asked - along.keys() - ({"starred"} if "starred only" in asked and "starred only" in along else set())
    )
    if not rest & looked_at.keys():
        stretch = f"SELECT {it}.* {source} LIMIT %(limit)s::int + 1"
        return page(f"{shown.format(stretch=stretch)} ORDER BY {it}.{at} DESC, {it}.id DESC", TIMED)
    found = shown.format(stretch=f"SELECT {it}.* {source} LIMIT {STRETCH}")
    return walk(
        f"{found} WHERE true{_all(looked_at, rest)} ORDER BY {it}.{at} DESC, {it}.id DESC LIMIT %(limit)s::int + 1",
        TIMED,
        f"SELECT {it}.{at} AS at, {it}.id {source}",
    )


def _all(conditions: dict[str, str], asked: frozenset[str]) -> str:
    return "".join(f" AND {conditions[name]}" for name in sorted(asked & conditions.keys()))


ENTRY = f"""json_build_object({OUTPUT}, 'run', output.run, 'workflow', output.workflow, 'made_at', output.at,
    'rendition', {rendition("output.run", "output.owner")})"""


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
    implied = {name for name, follows in _IMPLIED.items() if follows(used)}
    return frozenset(used) | implied, used | {"owner": owner, "at": at, "after": id, "limit": bounded(limit)}


# what is asked of one value and not of another decides along which index
_IMPLIED: dict[str, Callable[[dict[str, Any]], bool]] = {
    "open": lambda used: used.get("status") in (Status.QUEUED, Status.RUNNING),
    "starred only": lambda used: used.get("starred") is True,
}


def _known(field: str, value: str | None, known: Collection[str]) -> None:
    if value is not None and value not in known:
        raise Invalid("There is no such status.", FieldError(field, f"One of {', '.join(known)}."))
