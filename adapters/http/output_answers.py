"""Outputs as routes answer them: one's own, with all that is known of how they came about, and as others see them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from adapters.http.answers import Cursor, Digest, NodeId, SourceAnswer, Url


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
