"""What the routes answer, described for readers and for OpenAPI. Pages and rows are written by Postgres itself."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import SecurityRequirement
from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.http.foreseen import problem
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
NodeId = Annotated[str, Meta(description="The node's id in the graph.", examples=["9"])]


class HistoryEntry(Struct):
    """One event. `version` counts the events of this one thing, `position` those of the whole log."""

    position: int
    topic: Annotated[str, Meta(examples=["run.started.v1"])]
    version: int
    actor: Annotated[
        str,
        Meta(
            description="An account's id, a part of the system, or `staff`: a moderator or an administrator."
        ),
    ]
    at: datetime
    correlation: Annotated[UUID, Meta(description="The same for all events of one request.")]
    causation: int | None
    data: dict[str, Any]


class HistoryPage(Struct):
    items: list[HistoryEntry]
    next_cursor: Cursor


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


def answers(
    status: int, kind: Any, *problems: int, media_type: str = "application/json"
) -> dict[int, ResponseSpec]:
    """The answers of a route: its good one, and the problems that `foreseen` cannot know of."""
    good = ResponseSpec(
        kind, generate_examples=False, description=HTTPStatus(status).phrase, media_type=media_type
    )
    return {status: good, **{number: problem(number) for number in sorted(problems)}}
