"""The workflow shelf: an account's workflows and all their versions; published ones are open to everybody."""

from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import msgspec
from msgspec import Struct

from domain.event import AnyRecorded
from domain.ids import AccountId, WorkflowId
from domain.refusals import FieldError, Invalid
from domain.workflow import (
    EnvironmentRemoved,
    EnvironmentSet,
    Requirements,
    WorkflowCreated,
    WorkflowDeleted,
    WorkflowDescribed,
    WorkflowEvent,
    WorkflowForked,
    WorkflowPublished,
    WorkflowRenamed,
    WorkflowTagged,
    WorkflowVersionSaved,
    WorkflowWithdrawn,
)
from projections.paging import TIMED, bounded, lettered, numbered, page, timed
from projections.projection import Buffer, Projection, Table, by_stream
from projections.reading import Cursor, one


class WorkflowRow(Struct, gc=False):
    """`revision`: the version of its stream, raised by every event. `environments`: versions by their names."""

    id: UUID
    owner: AccountId
    name: str
    description: str
    tags: tuple[str, ...]
    public: bool
    versions: int
    environments: dict[str, int]
    forked_from: UUID | None
    forked_version: int | None
    revision: int
    created_at: datetime
    updated_at: datetime


class VersionRow(Struct, gc=False):
    workflow: UUID
    number: int
    owner: AccountId
    public: bool
    graph: str
    graph_size_bytes: int
    editor_graph: str | None
    note: str
    requirements: Requirements
    restored_from: int | None
    at: datetime


def _whole_workflow(recorded: AnyRecorded) -> Iterable[UUID]:
    """Its versions are shown, hidden and removed together."""
    match recorded.event:
        case WorkflowPublished() | WorkflowWithdrawn() | WorkflowDeleted():
            return (recorded.stream,)
        case _:
            return ()


WORKFLOWS = Table("workflows", WorkflowRow, ("id",), by_stream)
VERSIONS = Table("workflow_versions", VersionRow, ("workflow", "number"), _whole_workflow)


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    workflows, id, at, revision = buffer["workflows"], recorded.stream, recorded.at, recorded.version
    match recorded.event:
        case WorkflowCreated(owner=owner, name=name, description=description, tags=tags):
            workflows.put(
                WorkflowRow(id, owner, name, description, tags, False, 0, {}, None, None, revision, at, at)
            )
        case WorkflowForked(source=source, number=number):
            workflows.change(id, forked_from=source, forked_version=number, revision=revision, updated_at=at)
        case EnvironmentSet(name=name, number=number):
            _name(recorded, {name: number}, (), buffer)
        case EnvironmentRemoved(name=name):
            _name(recorded, {}, (name,), buffer)
        case WorkflowVersionSaved() as saved:
            workflows.change(id, versions=saved.number, revision=revision, updated_at=at)
            _add_version(workflows.get(id), saved, at, buffer)
        case WorkflowRenamed(name=name):
            workflows.change(id, name=name, revision=revision, updated_at=at)
        case WorkflowDescribed(description=description):
            workflows.change(id, description=description, revision=revision, updated_at=at)
        case WorkflowTagged(tags=tags):
            workflows.change(id, tags=tags, revision=revision, updated_at=at)
        case WorkflowPublished():
            _show(recorded, True, buffer)
        case WorkflowWithdrawn():
            _show(recorded, False, buffer)
        case WorkflowDeleted():
            workflows.remove(id)
            buffer["workflow_versions"].remove_of(id)
        case _:
            pass


def _add_version(
    workflow: WorkflowRow | None, saved: WorkflowVersionSaved, at: datetime, buffer: Buffer
) -> None:
    if workflow is None:
        return
    buffer["workflow_versions"].put(
        VersionRow(
            workflow=workflow.id,
            number=saved.number,
            owner=workflow.owner,
            public=workflow.public,
            graph=saved.graph.digest,
            graph_size_bytes=saved.graph.size_bytes,
            editor_graph=saved.editor_graph.digest if saved.editor_graph else None,
            note=saved.note,
            requirements=saved.requirements,
            restored_from=saved.restored_from,
            at=at,
        )
    )


def _name(recorded: AnyRecorded, named: dict[str, int], unnamed: Collection[str], buffer: Buffer) -> None:
    workflows, id = buffer["workflows"], recorded.stream
    workflow: WorkflowRow | None = workflows.get(id)
    if workflow is not None:
        left = {name: number for name, number in workflow.environments.items() if name not in unnamed}
        workflows.change(id, environments=left | named, revision=recorded.version, updated_at=recorded.at)


def _show(recorded: AnyRecorded, public: bool, buffer: Buffer) -> None:
    id, versions = recorded.stream, buffer["workflow_versions"]
    buffer["workflows"].change(id, public=public, revision=recorded.version, updated_at=recorded.at)
    for version in versions.of(id):
        versions.change((id, version.number), public=public)


WORKFLOW_SHELF = Projection(
    name="workflow_shelf",
    version=4,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(WORKFLOWS, VERSIONS),
    fold=fold,
    events=get_args(WorkflowEvent),
    reads=frozenset({"at", "version"}),
)

_WORKFLOW = """json_build_object('id', id, 'owner', owner, 'name', name, 'description', description, 'tags', tags,
    'public', public, 'version', versions, 'environments', environments,
    'forked_from', CASE WHEN forked_from IS NOT NULL
        THEN json_build_object('workflow', forked_from, 'version', forked_version) END,
    'revision', revision, 'created_at', created_at, 'updated_at', updated_at)"""
_VERSION = """json_build_object('workflow', workflow, 'number', number, 'graph_digest', graph,
    'graph_size_bytes', graph_size_bytes, 'editor_graph_digest', editor_graph, 'note', note,
    'requirements', requirements, 'restored_from', restored_from, 'at', at)"""


def shown(workflow: WorkflowRow) -> dict[str, Any]:
    """A row that is not in Postgres, as _WORKFLOW writes those that are."""
    fields = msgspec.structs.asdict(workflow)
    source, number = fields["forked_from"], fields.pop("forked_version")
    fields["forked_from"] = None if source is None else {"workflow": source, "version": number}
    return {"version" if name == "versions" else name: value for name, value in fields.items()}


def shown_version(version: VersionRow) -> dict[str, Any]:
    """The same as _VERSION does it."""
    fields = msgspec.structs.asdict(version)
    digests = {"graph_digest": fields.pop("graph"), "editor_graph_digest": fields.pop("editor_graph")}
    return {name: value for name, value in fields.items() if name not in ("owner", "public")} | digests


_ONE = f"SELECT convert_to({_WORKFLOW}::text, 'UTF8') FROM read.workflows WHERE id = %(id)s".encode()
_FOUND = """(%(words)s::text[] = '{}'
        OR lower(name || ' ' || description || ' ' || tags::text) LIKE ALL (%(words)s::text[]))
    AND (%(tag)s::text IS NULL OR tags @> jsonb_build_array(%(tag)s::text))"""


def _own(column: str) -> bytes:
    return page(
        f"""SELECT {_WORKFLOW} AS item, {column} AS at, id FROM read.workflows
        WHERE owner = %(owner)s AND ({column}, id) < (%(at)s, %(after)s) AND {_FOUND}
        ORDER BY {column} DESC, id DESC LIMIT %(limit)s::int + 1""",
        TIMED,
    )


_OWN_BY = {"updated": _own("updated_at"), "created": _own("created_at")}
_OWN_BY_NAME = page(
    f"""SELECT {_WORKFLOW} AS item, lower(name) COLLATE "C" AS called, id FROM read.workflows
    WHERE owner = %(owner)s AND (lower(name) COLLATE "C", id) > (%(called)s, %(after)s) AND {_FOUND}
    ORDER BY lower(name) COLLATE "C", id LIMIT %(limit)s::int + 1""",
    "id || '.' || called",
)
_FORKS = page(
    f"""SELECT {_WORKFLOW} AS item, created_at AS at, id FROM read.workflows
    WHERE forked_from = %(source)s AND (created_at, id) < (%(at)s, %(after)s)
    ORDER BY created_at DESC, id DESC LIMIT %(limit)s::int + 1""",
    TIMED,
)
_VERSIONS = page(
    f"""SELECT {_VERSION} AS item, number FROM read.workflow_versions
    WHERE workflow = %(workflow)s AND number < %(before)s
    ORDER BY number DESC LIMIT %(limit)s::int + 1""",
    "number",
)
_NUMBERED = f"""SELECT convert_to({_VERSION}::text, 'UTF8') FROM read.workflow_versions
WHERE workflow = %(workflow)s AND number = %(number)s""".encode()

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


async def forks(cursor: Cursor, source: WorkflowId, limit: int, after: str | None = None) -> bytes:
    """Workflows that began as a version of this one, the newest first: one's own and published ones. Raises Invalid."""
    at, id = timed(after)
    parameters: dict[str, Any] = {"source": source, "at": at, "after": id, "limit": bounded(limit)}
    return await one(cursor, _FORKS, parameters) or b""


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
