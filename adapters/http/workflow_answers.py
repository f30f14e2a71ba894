"""Workflows, their versions and their places in lists, as routes answer them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.http.answers import Cursor, Digest
from domain.workflow import Requirements

Revision = Annotated[int, Meta(description="Raised by every change; the ETag.", examples=[3])]
RestoredFrom = Annotated[int | None, Meta(description="The version that this one repeats.", examples=[1])]
UNCONVERTED = "Null where none could be made of the editor's: `unconverted` says why, and it cannot be run."


class PictureAnswer(Struct):
    """A picture that a workflow is shown by."""

    digest: Digest
    media_type: str
    width: int
    height: int
    size_bytes: int
    url: Annotated[str, Meta(description="For everybody who may see the workflow, as long as they may.")]


class ForkedFrom(Struct):
    workflow: UUID
    version: int


class WorkflowSummary(Struct):
    """`thumbnails`: the smaller first; not of one in the past."""

    id: UUID
    owner: UUID
    name: str
    description: str
    tags: list[str]
    public: bool
    version: Annotated[int, Meta(description="The newest version's number.", examples=[1])]
    environments: Annotated[dict[str, int], Meta(description="Names that stand for versions.")]
    forked_from: Annotated[ForkedFrom | None, Meta(description="What it began as, perhaps somebody else's.")]
    hidden_for: Annotated[
        str, Meta(description="Why a moderator hides it from everybody else; empty: none does.")
    ]
    sensitive: bool
    revision: Revision
    created_at: datetime
    updated_at: datetime
    thumbnails: list[PictureAnswer] | UnsetType = UNSET


class WorkflowAnswer(WorkflowSummary, kw_only=True):
    """A workflow with the documents of its newest version. `likes` ...: not of one in the past."""

    graph: Annotated[dict[str, Any] | None, Meta(description=UNCONVERTED)]
    graph_digest: Digest | None
    graph_size_bytes: int
    editor_graph: dict[str, Any] | None
    editor_graph_digest: Digest | None
    note: str
    requirements: Requirements
    restored_from: RestoredFrom
    unconverted: str
    likes: int | UnsetType = UNSET
    liked: Annotated[bool, Meta(description="By you.")] | UnsetType = UNSET
    runs: int | UnsetType = UNSET
    comments: int | UnsetType = UNSET


class WorkflowPage(Struct):
    items: list[WorkflowSummary]
    next_cursor: Cursor


class TrashedAnswer(Struct):
    workflow: WorkflowSummary
    trashed_at: datetime


class TrashPage(Struct):
    items: list[TrashedAnswer]
    next_cursor: Cursor


class KinAnswer(Struct):
    """A place in a tree. `workflow` is null where it is not yours to see: private, or not there any more."""

    parent: Annotated[int | None, Meta(description="The place in the list of what it was forked from.")]
    workflow: WorkflowSummary | None


class LineageAnswer(Struct):
    """Where a workflow comes from and what comes from it, as one tree: parents stand before their children."""

    asked: Annotated[int, Meta(description="The place in the list of the workflow that was asked for.")]
    items: list[KinAnswer]
    more: Annotated[bool, Meta(description="There are more that come from it.")]


class VersionSummary(Struct):
    workflow: UUID
    number: int
    graph_digest: Digest | None
    graph_size_bytes: int
    editor_graph_digest: Digest | None
    note: str
    requirements: Requirements
    restored_from: RestoredFrom
    unconverted: str
    at: datetime


class VersionAnswer(VersionSummary):
    graph: Annotated[dict[str, Any] | None, Meta(description=UNCONVERTED)]
    editor_graph: dict[str, Any] | None


class VersionPage(Struct):
    items: list[VersionSummary]
    next_cursor: Cursor


class GalleryEntry(Struct):
    id: UUID
    author: str
    name: str
    description: str
    tags: list[str]
    sensitive: bool
    version: int
    thumbnails: list[PictureAnswer]
    published_at: datetime
    updated_at: datetime
    likes: int
    liked: Annotated[bool, Meta(description="By you.")]
    runs: int


class GalleryPage(Struct):
    items: list[GalleryEntry]
    next_cursor: Cursor
