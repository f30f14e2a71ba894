"""Runs and batches as routes answer them, and what was used of a day."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.http.answers import Cursor, NodeId, SourceAnswer
from adapters.http.output_answers import OutputAnswer, ThumbnailAnswer
from domain.outcome import Failure


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
