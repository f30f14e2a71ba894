"""What the routes answer, described for readers and for OpenAPI. Pages and rows are written by Postgres itself."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import SecurityRequirement
from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.http.foreseen import problem
from domain.outcome import Failure
from domain.workflow import Requirements
from workflows.wanted import PresetUse

ANYBODY: list[SecurityRequirement] = [{}]
"""For routes that need no login."""

Digest = Annotated[str, Meta(description="SHA-256, in hexadecimal.", examples=["e5b2c820f8ab" + "0" * 52])]
Url = Annotated[
    str,
    Meta(
        description="Good without logging in, until it expires.", examples=["https://example.org/api/v1/..."]
    ),
]
Cursor = Annotated[str | None, Meta(description="The `cursor` of the next page; null: this is the last.")]
Revision = Annotated[int, Meta(description="Raised by every change; the ETag.", examples=[3])]
RestoredFrom = Annotated[int | None, Meta(description="The version that this one repeats.", examples=[1])]
UNCONVERTED = "Null where none could be made of the editor's: `unconverted` says why, and it cannot be run."
NodeId = Annotated[str, Meta(description="The node's id in the graph.", examples=["9"])]


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


class HistoryEntry(Struct):
    """One event. `version` counts the events of this one thing, `position` those of the whole log."""

    position: int
    topic: Annotated[str, Meta(examples=["run.started.v1"])]
    version: int
    actor: Annotated[str, Meta(description="An account's id, or a part of the system.")]
    at: datetime
    correlation: Annotated[UUID, Meta(description="The same for all events of one request.")]
    causation: int | None
    data: dict[str, Any]


class HistoryPage(Struct):
    items: list[HistoryEntry]
    next_cursor: Cursor


class ThumbnailAnswer(Struct):
    digest: Digest
    media_type: str
    width: int
    height: int
    size_bytes: int
    url: Url


class OutputAnswer(Struct):
    """`url`: in the rendition that its owner wants; the rest tells of the file as it was made."""

    id: UUID
    node: NodeId
    index: int
    name: str
    digest: Digest
    media_type: str
    width: int
    height: int
    size_bytes: int
    starred: bool
    thumbnails: list[ThumbnailAnswer]
    url: Url


class FileAnswer(Struct):
    """An output as others are shown it."""

    node: NodeId
    index: int
    name: str
    digest: Digest
    media_type: str
    width: int
    height: int
    size_bytes: int
    thumbnails: list[ThumbnailAnswer]
    url: Url


class SourceAnswer(Struct):
    """`seed`: what was drawn or set for this run. `parameters`: of a run that was made from some.

    `template`: the id of the template it was made from; `version`: the digest of that, form and graph, as it was.
    """

    kind: Literal["workflow", "parameters", "template", "graph"]
    seed: int | None
    template: str | None
    version: Digest | None
    parameters: Annotated[dict[str, Any], Meta(description="Not in lists.")] | UnsetType = UNSET
    values: Annotated[dict[str, Any], Meta(description="Of its template. Not in lists.")] | UnsetType = UNSET
    texts: Annotated[dict[str, str], Meta(description="What chance has made of them.")] | UnsetType = UNSET
    wildcards: Annotated[list[str], Meta(description="Which were left to it.")] | UnsetType = UNSET
    lists: Annotated[dict[str, list[str]], Meta(description="What it chose from.")] | UnsetType = UNSET
    draw: Annotated[int, Meta(description="What it followed from, without a seed.")] | UnsetType = UNSET
    preset: Annotated[PresetUse, Meta(description="What was laid under them.")] | UnsetType = UNSET


class RunSummary(Struct):
    """`failure`: of the last attempt that came to nothing, until one succeeds."""

    id: UUID
    owner: UUID
    source: SourceAnswer
    workflow: Annotated[UUID | None, Meta(description="Null where the source is another one.")]
    workflow_version: int | None
    rerun_of: UUID | None
    batch: UUID | None
    place: Annotated[int | None, Meta(description="In its batch: 0, 1, 2 ...")]
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    pool: Annotated[str, Meta(description="Where it waits, or has waited.", examples=["shared"])]
    priority: int
    backend: str | None
    epoch: Annotated[int, Meta(description="The number of the attempt.")]
    attempts_lost: int
    failure: Failure | None
    submitted_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    not_before: datetime | None
    execution_s: Annotated[float | None, Meta(description="Of the last attempt.")]
    run_seconds: Annotated[
        float, Meta(description="How long machines were busy with it, in vain as well: what it cost.")
    ]
    position: int


class NodeTimeAnswer(Struct):
    node: NodeId
    seconds: float


class RunAnswer(RunSummary):
    outputs: list[OutputAnswer]
    nodes: Annotated[
        list[NodeTimeAnswer] | None,
        Meta(description="How long nodes took, the slowest 50; null where it was not heard."),
    ]
    waiting_for: Annotated[str, Meta(description="Why it does not start.")] | UnsetType = UNSET
    queue_position: (
        Annotated[int, Meta(description="While it is queued: 1 is next, as things are now.", examples=[4])]
        | UnsetType
    ) = UNSET
    eta_s: (
        Annotated[float, Meta(description="About so many seconds until it begins.", examples=[42.5])]
        | UnsetType
    ) = UNSET


class ListedRun(RunSummary, kw_only=True):
    """`thumbnails`: the smallest ones of its first outputs, 4 at most."""

    output_count: int
    thumbnails: list[ThumbnailAnswer]


class RunPage(Struct):
    items: list[ListedRun]
    next_cursor: Cursor


class OutputEntry(OutputAnswer, kw_only=True):
    run: UUID
    workflow: UUID | None
    made_at: datetime


class OutputPage(Struct):
    items: list[OutputEntry]
    next_cursor: Cursor


class OutputDetail(OutputEntry, kw_only=True):
    """`seed`: the first of its graph where none was drawn or set. `graph`: null where it is not kept any more."""

    workflow_version: int | None
    source: SourceAnswer
    backend: str | None
    submitted_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    execution_s: float | None
    seed: int | None
    models: Annotated[
        list[str], Meta(description="With their folders.", examples=[["checkpoints/a.safetensors"]])
    ]
    loras: list[str]
    graph_digest: Digest
    graph: dict[str, Any] | None


class TouchedAnswer(Struct):
    """`reason`: why it was refused."""

    id: UUID
    done: bool
    reason: str | None


class TouchedOutputs(Struct):
    """`position`: of the last change; 0 where there was none."""

    items: list[TouchedAnswer]
    position: int


class BatchProgress(Struct):
    """How many of its runs are where; those that were deleted are nowhere."""

    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int


class BatchSummary(Struct):
    id: UUID
    varied: Annotated[list[str], Meta(description="The parameters that differ.", examples=[["cfg"]])]
    total: Annotated[int, Meta(description="How many runs it began with.", examples=[4])]
    submitted_at: datetime
    cancelled_at: datetime | None
    position: int
    progress: BatchProgress


class BatchRunAnswer(RunSummary, kw_only=True):
    """`varied`: its values of what differs. `outputs`: the first 16."""

    varied: dict[str, Any]
    outputs: list[OutputAnswer]


class GroupAnswer(Struct):
    """The runs that had this value."""

    parameter: str
    value: Any
    runs: list[UUID]


class BatchAnswer(BatchSummary):
    runs: list[BatchRunAnswer]
    groups: list[GroupAnswer]


class BatchPage(Struct):
    items: list[BatchSummary]
    next_cursor: Cursor


class UsageDay(Struct):
    """`run_seconds`: for how long machines were busy, also with attempts that came to nothing."""

    day: Annotated[str, Meta(examples=["2026-11-30"])]
    submitted: int
    succeeded: int
    failed: int
    cancelled: int
    run_seconds: float


class UsagePage(Struct):
    items: list[UsageDay]
    next_cursor: Cursor


class InputAnswer(Struct):
    """A picture that was uploaded, encoded anew."""

    id: UUID
    digest: Digest
    name: str
    media_type: str
    size_bytes: int
    width: int
    height: int
    uploaded_at: datetime


class StoredInputAnswer(Struct):
    """`position`: 0 where it was there already."""

    id: UUID
    digest: Digest
    media_type: str
    size_bytes: int
    width: int
    height: int
    position: int


class InputPage(Struct):
    items: list[InputAnswer]
    next_cursor: Cursor


def answers(
    status: int, kind: Any, *problems: int, media_type: str = "application/json"
) -> dict[int, ResponseSpec]:
    """The answers of a route: its good one, and the problems that `foreseen` cannot know of."""
    good = ResponseSpec(
        kind, generate_examples=False, description=HTTPStatus(status).phrase, media_type=media_type
    )
    return {status: good, **{number: problem(number) for number in sorted(problems)}}
