"""The workflow shelf: an account's workflows and all their versions; published ones are open to everybody.

What is in the trash is kept here as well, and shown as the trash only.
"""

from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import msgspec
from msgspec import Struct

from domain.ids import AccountId, Digest, WorkflowId
from domain.refusals import FieldError, Invalid
from domain.workflow import WorkflowEvent
from projections.paging import STRETCH, TIMED, bounded, lettered, numbered, page, shelved, timed, walk
from projections.pictures import pictures
from projections.projection import Projection
from projections.reading import Cursor, one
from projections.workflow_rows import TABLES, VersionRow, WorkflowRow, fold

WORKFLOW_SHELF = Projection(
    name="workflow_shelf",
    version=8,
    sql=Path(__file__).with_suffix(".sql"),
    tables=TABLES,
    fold=fold,
    events=get_args(WorkflowEvent),
    reads=frozenset({"at", "version"}),
)

_WORKFLOW = f"""json_build_object('id', id, 'owner', owner, 'name', name, 'description', description, 'tags', tags,
    'public', public, 'version', versions, 'environments', environments,
    'forked_from', CASE WHEN forked_from IS NOT NULL
        THEN json_build_object('workflow', forked_from, 'version', forked_version) END,
    'thumbnails', {pictures("id", "thumbnails")}, 'hidden_for', hidden_for, 'sensitive', sensitive,
    'revision', revision, 'created_at', created_at, 'updated_at', updated_at)"""
_VERSION = """json_build_object('workflow', workflow, 'number', number, 'graph_digest', graph,
    'graph_size_bytes', graph_size_bytes, 'editor_graph_digest', editor_graph, 'note', note,
    'requirements', requirements, 'restored_from', restored_from, 'unconverted', unconverted, 'at', at)"""


def shown(workflow: WorkflowRow) -> dict[str, Any]:
    """A row that is not in Postgres, as _WORKFLOW writes those that are."""
    fields = msgspec.structs.asdict(workflow)
    source, number = fields["forked_from"], fields.pop("forked_version")
    for kept_back in ("ancestors", "thumbnails", "trashed_at", "name_key"):
        del fields[kept_back]
    fields["forked_from"] = None if source is None else {"workflow": source, "version": number}
    return {"version" if name == "versions" else name: value for name, value in fields.items()}


def shown_version(version: VersionRow) -> dict[str, Any]:
    """The same as _VERSION does it."""
    fields = msgspec.structs.asdict(version)
    digests = {"graph_digest": fields.pop("graph"), "editor_graph_digest": fields.pop("editor_graph")}
    return {name: value for name, value in fields.items() if name not in _UNSHOWN} | digests


_UNSHOWN = ("owner", "public", "trashed", "editor_graph_size_bytes")
_ONE = f"""SELECT convert_to({_WORKFLOW}::text, 'UTF8') FROM read.workflows
WHERE id = %(id)s AND trashed_at IS NULL""".encode()
_SEARCHED = """(%(words)s::text[] = '{}'
        OR lower(name || ' ' || description || ' ' || tags::text) LIKE ALL (%(words)s::text[]))
    AND (%(tag)s::text IS NULL OR tags @> jsonb_build_array(%(tag)s::text))"""
_OWN = "owner = %(owner)s AND trashed_at IS NULL"
_OWN_BY = {
    "updated": shelved("workflows", _WORKFLOW, (_OWN,), _SEARCHED),
    "created": shelved("workflows", _WORKFLOW, (_OWN,), _SEARCHED, at="created_at"),
}
_BY_NAME = f"""FROM read.workflows
    WHERE {_OWN} AND (name_key COLLATE "C", id) > (%(called)s, %(after)s) ORDER BY name_key COLLATE "C", id"""
_OWN_BY_NAME = walk(
    f"""SELECT {_WORKFLOW} AS item, name_key, id FROM (SELECT * {_BY_NAME} LIMIT {STRETCH}) AS workflows
    WHERE {_SEARCHED} ORDER BY name_key COLLATE "C", id LIMIT %(limit)s::int + 1""",
    "id || '.' || name_key",
    f"SELECT id, name_key {_BY_NAME}",
)
_FORKS = page(
    f"""SELECT {_WORKFLOW} AS item, created_at AS at, id FROM read.workflows
    WHERE forked_from = %(source)s AND trashed_at IS NULL AND (created_at, id) < (%(at)s, %(after)s)
    ORDER BY created_at DESC, id DESC LIMIT %(limit)s::int + 1""",
    TIMED,
)
_TRASH = page(
    f"""SELECT json_build_object('workflow', {_WORKFLOW}, 'trashed_at', trashed_at) AS item,
        trashed_at AS at, id FROM read.workflows
    WHERE owner = %(owner)s AND trashed_at IS NOT NULL AND (trashed_at, id) < (%(at)s, %(after)s)
    ORDER BY trashed_at DESC, id DESC LIMIT %(limit)s::int + 1""",
    TIMED,
)
_KIN = f"json_build_object('workflow', {_WORKFLOW}, 'line', ancestors) AS one"
# Only what the caller may see: the rest of a line is known by its ids alone.
_LINEAGE = f"""SELECT convert_to(json_build_object('asked', (
    SELECT one FROM (SELECT {_KIN} FROM read.workflows WHERE id = %(id)s) AS found
), 'ancestors', (
    SELECT coalesce(json_agg(one), '[]') FROM (
        SELECT {_KIN} FROM read.workflows
        WHERE trashed_at IS NULL AND id IN (
            SELECT line.ancestor FROM read.workflow_lines AS line WHERE line.workflow = %(id)s
        )
    ) AS found
), 'descendants', (
    SELECT coalesce(json_agg(one), '[]') FROM (
        SELECT {_KIN} FROM read.workflows
        WHERE trashed_at IS NULL AND id IN (
            SELECT line.workflow FROM read.workflow_lines AS line WHERE line.ancestor = %(id)s
        )
        ORDER BY created_at, id LIMIT %(limit)s::int + 1
    ) AS found
))::text, 'UTF8')
FROM read.workflows AS asked WHERE asked.id = %(id)s AND asked.trashed_at IS NULL""".encode()
_PICTURE = b"""SELECT small.media_type FROM read.workflows
CROSS JOIN LATERAL jsonb_to_recordset(thumbnails) AS small (digest text, media_type text)
WHERE id = %(id)s AND trashed_at IS NULL AND small.digest = %(digest)s"""
_VERSIONS = page(
    f"""SELECT {_VERSION} AS item, number FROM read.workflow_versions
    WHERE workflow = %(workflow)s AND NOT trashed AND number < %(before)s
    ORDER BY number DESC LIMIT %(limit)s::int + 1""",
    "number",
)
_NUMBERED = f"""SELECT convert_to({_VERSION}::text, 'UTF8') FROM read.workflow_versions
WHERE workflow = %(workflow)s AND NOT trashed AND number = %(number)s""".encode()

_NEWEST = b"""SELECT shelved.id, shelved.name, newest.editor_graph, newest.graph,
    CASE WHEN newest.editor_graph IS NULL THEN newest.graph_size_bytes ELSE newest.editor_graph_size_bytes END,
    shelved.created_at, newest.at
FROM read.workflows AS shelved
JOIN read.workflow_versions AS newest ON newest.workflow = shelved.id AND newest.number = shelved.versions
WHERE shelved.owner = %(owner)s AND shelved.trashed_at IS NULL
ORDER BY shelved.created_at, shelved.id LIMIT %(limit)s"""

_BEHIND_ALL = 2**62


async def workflow(cursor: Cursor, id: WorkflowId) -> bytes | None:
    """One's own or a published one."""
    return await one(cursor, _ONE, {"id": id})


async def own_workflows(
    cursor: Cursor,
    owner: AccountId,
    limit: int,
    after: str | None = None,
    *,
    words: str = "",
    tag: str | None = None,
    sort: str = "updated",
) -> bytes:
    """An account's workflows that have all these words and the tag: last changed or newest first, or by name.

    Raises Invalid.
    """
    for field, text in (("q", words), ("tag", tag or "")):
        if "\0" in text:
            raise Invalid("Nothing is called so.", FieldError(field, "It holds the NUL character."))
    found: dict[str, Any] = {"owner": owner, "limit": bounded(limit), "words": _patterns(words), "tag": tag}
    if sort == "name":
        called, id = lettered(after)
        return await one(cursor, _OWN_BY_NAME, found | {"called": called, "after": id}) or b""
    at, id = timed(after)
    return await one(cursor, _OWN_BY[sort], found | {"at": at, "after": id}) or b""


class Newest(Struct, frozen=True):
    """A workflow with the graphs of its newest version, one of which is there. `modified_at`: when it was saved."""

    id: WorkflowId
    name: str
    editor_graph: Digest | None
    graph: Digest | None
    size_bytes: int
    created_at: datetime
    modified_at: datetime


async def newest(cursor: Cursor, owner: AccountId, limit: int) -> list[Newest]:
    """An account's workflows, the oldest first."""
    await cursor.execute(_NEWEST, {"owner": owner, "limit": limit}, prepare=True)
    return [Newest(*row) for row in await cursor.fetchall()]


async def forks(cursor: Cursor, source: WorkflowId, limit: int, after: str | None = None) -> bytes:
    """Workflows that began as a version of this one, the newest first: one's own and published ones. Raises Invalid."""
    at, id = timed(after)
    parameters: dict[str, Any] = {"source": source, "at": at, "after": id, "limit": bounded(limit)}
    return await one(cursor, _FORKS, parameters) or b""


async def trash(cursor: Cursor, owner: AccountId, limit: int, after: str | None = None) -> bytes:
    """What an account has thrown away, the last first. Raises Invalid."""
    at, id = timed(after)
    parameters: dict[str, Any] = {"owner": owner, "at": at, "after": id, "limit": bounded(limit)}
    return await one(cursor, _TRASH, parameters) or b""


async def lineage(cursor: Cursor, id: WorkflowId, limit: int) -> bytes | None:
    """A workflow with those that it comes from and, the oldest first, those that come from it: one more than `limit`.

    Each with its line: the ids of all that it comes from, also of those that are not the caller's to see.
    """
    return await one(cursor, _LINEAGE, {"id": id, "limit": limit})


async def picture(cursor: Cursor, id: WorkflowId, digest: Digest) -> str | None:
    """The media type of a picture that the workflow is shown by."""
    await cursor.execute(_PICTURE, {"id": id, "digest": digest}, prepare=True)
    row = await cursor.fetchone()
    return None if row is None else str(row[0])


def _patterns(words: str) -> list[str]:
    """Each word anywhere, whatever it is made of."""
    plain = (
        word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for word in words.lower().split()
    )
    return [f"%{word}%" for word in plain]


async def versions(cursor: Cursor, workflow: WorkflowId, limit: int, after: str | None = None) -> bytes:
    """A workflow's versions, newest first. Raises Invalid."""
    before = numbered(after, _BEHIND_ALL)
    parameters = {"workflow": workflow, "before": before, "limit": bounded(limit)}
    return await one(cursor, _VERSIONS, parameters) or b""


async def version(cursor: Cursor, workflow: WorkflowId, number: int) -> bytes | None:
    if not 0 < number < _BEHIND_ALL:
        return None
    return await one(cursor, _NUMBERED, {"workflow": workflow, "number": number})
