"""What the workflow shelf is folded into: workflows, their versions, and the lines of what was forked from what."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from domain.event import AnyRecorded
from domain.ids import AccountId
from domain.outcome import Image
from domain.workflow import (
    EnvironmentRemoved,
    EnvironmentSet,
    Requirements,
    WorkflowCreated,
    WorkflowDeleted,
    WorkflowDescribed,
    WorkflowForked,
    WorkflowHidden,
    WorkflowMarked,
    WorkflowPublished,
    WorkflowRecovered,
    WorkflowRenamed,
    WorkflowShownAgain,
    WorkflowTagged,
    WorkflowThumbnailRemoved,
    WorkflowThumbnailSet,
    WorkflowTrashed,
    WorkflowVersionSaved,
    WorkflowWithdrawn,
)
from projections.projection import Buffer, Table


class WorkflowRow(Struct, gc=False):
    """`revision`: the version of its stream, raised by every event. `environments`: versions by their names.

    `ancestors`: what it was forked from, what that was, and so on, the nearest last. `hidden_for`: why those who keep
    order hide it; it is not public then. `name_key`: the name as it is sorted by.
    """

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
    ancestors: tuple[UUID, ...]
    thumbnails: tuple[Image, ...]
    revision: int
    created_at: datetime
    updated_at: datetime
    trashed_at: datetime | None
    hidden_for: str = ""
    sensitive: bool = False
    name_key: str = ""


class VersionRow(Struct, gc=False):
    workflow: UUID
    number: int
    owner: AccountId
    public: bool
    graph: str | None
    graph_size_bytes: int
    editor_graph: str | None
    note: str
    requirements: Requirements
    restored_from: int | None
    at: datetime
    trashed: bool
    editor_graph_size_bytes: int = 0
    unconverted: str = ""


class LineRow(Struct, gc=False):
    """One of a workflow's ancestors; place 0 is the farthest that is known."""

    workflow: UUID
    place: int
    ancestor: UUID


MAX_ANCESTORS = 100  # of a longer line the nearest


def _and_source(recorded: AnyRecorded) -> Iterable[UUID]:
    """A fork's line goes on where that of its source ends."""
    match recorded.event:
        case WorkflowForked(source=source):
            return (recorded.stream, source)
        case _:
            return (recorded.stream,)


def _whole_workflow(recorded: AnyRecorded) -> Iterable[UUID]:
    """Its versions are shown, hidden and removed together."""
    match recorded.event:
        case WorkflowPublished() | WorkflowWithdrawn() | WorkflowDeleted():
            return (recorded.stream,)
        case WorkflowTrashed() | WorkflowRecovered() | WorkflowHidden() | WorkflowShownAgain():
            return (recorded.stream,)
        case _:
            return ()


def _removed(recorded: AnyRecorded) -> Iterable[UUID]:
    return (recorded.stream,) if type(recorded.event) is WorkflowDeleted else ()


WORKFLOWS = Table("workflows", WorkflowRow, ("id",), _and_source)
VERSIONS = Table("workflow_versions", VersionRow, ("workflow", "number"), _whole_workflow)
LINES = Table("workflow_lines", LineRow, ("workflow", "place"), _removed)
TABLES: tuple[Table[Any], ...] = (WORKFLOWS, VERSIONS, LINES)


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    workflows, id, at, revision = buffer["workflows"], recorded.stream, recorded.at, recorded.version
    match recorded.event:
        case WorkflowCreated():
            workflows.put(_begun(id, recorded.event, at, revision))
        case WorkflowForked() as forked:
            _fork(recorded, forked, buffer)
        case EnvironmentSet(name=name, number=number):
            _name(recorded, {name: number}, (), buffer)
        case EnvironmentRemoved(name=name):
            _name(recorded, {}, (name,), buffer)
        case WorkflowVersionSaved() as saved:
            workflows.change(id, versions=saved.number, revision=revision, updated_at=at)
            _add_version(workflows.get(id), saved, at, buffer)
        case WorkflowRenamed(name=name):
            workflows.change(id, name=name, name_key=name.lower(), revision=revision, updated_at=at)
        case WorkflowDescribed(description=description):
            workflows.change(id, description=description, revision=revision, updated_at=at)
        case WorkflowTagged(tags=tags):
            workflows.change(id, tags=tags, revision=revision, updated_at=at)
        case WorkflowPublished():
            _show(recorded, True, buffer)
        case WorkflowWithdrawn():
            _show(recorded, False, buffer)
        case WorkflowHidden(reason=reason):
            _show(recorded, False, buffer)
            workflows.change(id, hidden_for=reason)
        case WorkflowShownAgain(public=public):
            _show(recorded, public, buffer)
            workflows.change(id, hidden_for="")
        case WorkflowMarked(sensitive=sensitive):
            workflows.change(id, sensitive=sensitive, revision=revision, updated_at=at)
        case WorkflowThumbnailSet(thumbnails=thumbnails):
            workflows.change(id, thumbnails=thumbnails, revision=revision, updated_at=at)
        case WorkflowThumbnailRemoved():
            workflows.change(id, thumbnails=(), revision=revision, updated_at=at)
        case WorkflowTrashed():
            _trash(recorded, at, buffer)
        case WorkflowRecovered():
            _trash(recorded, None, buffer)
        case WorkflowDeleted():
            workflows.remove(id)
            buffer["workflow_versions"].remove_of(id)
            buffer["workflow_lines"].remove_of(id)
        case _:
            pass


def _begun(id: UUID, created: WorkflowCreated, at: datetime, revision: int) -> WorkflowRow:
    return WorkflowRow(
        id=id,
        owner=created.owner,
        name=created.name,
        name_key=created.name.lower(),
        description=created.description,
        tags=created.tags,
        public=False,
        versions=0,
        environments={},
        forked_from=None,
        forked_version=None,
        ancestors=(),
        thumbnails=(),
        revision=revision,
        created_at=at,
        updated_at=at,
        trashed_at=None,
    )


def _fork(recorded: AnyRecorded, forked: WorkflowForked, buffer: Buffer) -> None:
    workflows = buffer["workflows"]
    source: WorkflowRow | None = workflows.get(forked.source)
    line = (*(() if source is None else source.ancestors), forked.source)[-MAX_ANCESTORS:]
    for place, ancestor in enumerate(line):
        buffer["workflow_lines"].put(LineRow(recorded.stream, place, ancestor))
    workflows.change(
        recorded.stream,
        forked_from=forked.source,
        forked_version=forked.number,
        ancestors=line,
        revision=recorded.version,
        updated_at=recorded.at,
    )


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
            graph=saved.graph.digest if saved.graph else None,
            graph_size_bytes=saved.graph.size_bytes if saved.graph else 0,
            editor_graph=saved.editor_graph.digest if saved.editor_graph else None,
            note=saved.note,
            requirements=saved.requirements,
            restored_from=saved.restored_from,
            at=at,
            trashed=False,
            editor_graph_size_bytes=saved.editor_graph.size_bytes if saved.editor_graph else 0,
            unconverted=saved.unconverted,
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


def _trash(recorded: AnyRecorded, trashed_at: datetime | None, buffer: Buffer) -> None:
    """Its versions cannot be changed meanwhile, so that they are as they were when it comes back."""
    id, versions = recorded.stream, buffer["workflow_versions"]
    buffer["workflows"].change(id, trashed_at=trashed_at, revision=recorded.version, updated_at=recorded.at)
    for version in versions.of(id):
        versions.change((id, version.number), trashed=trashed_at is not None)
