"""Outputs that everybody may look at: shown, found, liked, withdrawn."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.http.answers import ANYBODY, Cursor, answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.gallery import Tag, Words
from adapters.http.output_answers import FileAnswer
from adapters.http.outputs import with_urls
from adapters.http.parts import Parts
from adapters.http.reads import Reader, json_response
from adapters.http.workflow_answers import GalleryEntry
from commands.named_accounts import account_named
from commands.shared_outputs import LikeOutput, PublishedOutput, PublishOutput, UnlikeOutput, WithdrawOutput
from commands.streams import Context
from domain.ids import Digest, OutputId, Position, RunId
from domain.place import Kind
from domain.shared_output import NO_OUTPUT
from projections import comments, shared_outputs
from projections.shared_outputs import Sort

BARE: dict[str, Any] = {"rendition": {"metadata": False}}
"""What does not show how it was made does not hold it either."""

Sensitive = Annotated[bool, Meta(description="Not everybody wants to see it by chance.")]


class PublishBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`node`, `index`: as the run shows them."""

    run: UUID
    node: Annotated[str, Meta(examples=["9"])]
    index: Annotated[int, Meta(ge=0)] = 0
    name: Annotated[str, Meta(examples=["A fox in the snow"])]
    description: str = ""
    tags: Annotated[tuple[str, ...], Meta(examples=[["fox", "snow"]])] = ()
    sensitive: Sensitive = False
    with_workflow: Annotated[
        bool, Meta(description="Show the graph that was executed, and the values it was made from.")
    ] = False


class PublishedAnswer(Struct, frozen=True):
    """`position`: 0 where nothing had to change."""

    id: OutputId
    position: Position


class SharedOutputEntry(Struct, kw_only=True):
    id: UUID
    author: str
    name: str
    description: str
    tags: list[str]
    sensitive: bool
    file: FileAnswer
    with_workflow: bool
    published_at: datetime
    likes: int
    liked: Annotated[bool, Meta(description="By you.")]


class SharedOutputPage(Struct):
    items: list[SharedOutputEntry]
    next_cursor: Cursor


class SharedOutputAnswer(SharedOutputEntry, kw_only=True):
    """`graph`, `values`: null where they are not shown, or there are none. `public`: you show it."""

    graph: dict[str, Any] | None
    values: dict[str, Any] | None
    public: bool
    comments: int
    hidden_for: Annotated[str, Meta(description="Why a moderator hides it; empty: none does.")]


@get("/gallery/outputs", security=ANYBODY, responses=answers(200, SharedOutputPage, 422))
async def show(
    parts: NamedDependency[Parts],
    reader: NamedDependency[Reader],
    q: FromQuery[Words] = "",
    tag: FromQuery[Tag] = "",
    sort: FromQuery[Sort] = Sort.NEW,
    sensitive: FromQuery[bool] = False,
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Outputs that are shown to everybody, the newest first or in another order; sensitive ones only if you ask.

    The files' addresses are good for an hour or two. A cursor is good for the order that it was given with.
    """
    page = await reader.ask(
        shared_outputs.shown,
        limit=limit,
        after=cursor,
        sort=sort,
        words=q,
        tag=tag,
        sensitive=sensitive,
    )
    return json_response(_with_files(page, parts))


class OutputTagCount(Struct):
    tag: str
    outputs: Annotated[int, Meta(description="How many that are shown have it.")]


class OutputTagPage(Struct):
    items: list[OutputTagCount]
    next_cursor: Cursor


@get("/gallery/outputs/tags", security=ANYBODY, responses=answers(200, OutputTagPage, 422))
async def show_tags(
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 50,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """The tags of shown outputs, the most frequent first."""
    return await reader.page(shared_outputs.tags, limit=limit, cursor=cursor)


class MixedEntry(Struct):
    """Of `kind`: the other is left out."""

    kind: Literal["workflow", "output"]
    workflow: GalleryEntry | UnsetType = UNSET
    output: SharedOutputEntry | UnsetType = UNSET


class MixedPage(Struct):
    items: list[MixedEntry]
    next_cursor: Cursor


@get("/gallery/mixed", security=ANYBODY, responses=answers(200, MixedPage, 422))
async def mixed(
    parts: NamedDependency[Parts],
    reader: NamedDependency[Reader],
    q: FromQuery[Words] = "",
    tag: FromQuery[Tag] = "",
    sort: FromQuery[Sort] = Sort.NEW,
    sensitive: FromQuery[bool] = False,
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Published workflows and shown outputs in one list, each with its kind. Of one kind alone: `/gallery` and
    `/gallery/outputs`."""
    await reader.caught_up("gallery")
    page = await reader.ask(
        shared_outputs.shown,
        limit=limit,
        after=cursor,
        sort=sort,
        words=q,
        tag=tag,
        sensitive=sensitive,
        mixed=True,
    )
    decoded = msgspec.json.decode(page, type=dict[str, Any])
    for entry in decoded["items"]:
        if entry["kind"] == "output":
            _with_file(entry["output"], parts)
    return json_response(msgspec.json.encode(decoded))


@get("/accounts/{name:str}/outputs", security=ANYBODY, responses=answers(200, SharedOutputPage, 404, 422))
async def of(
    name: FromPath[str],
    parts: NamedDependency[Parts],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """The outputs that somebody shows, the newest first, sensitive ones among them."""
    account = await account_named(name, parts.commands.needs)
    page = await reader.ask(shared_outputs.of, account, limit=limit, after=cursor)
    return json_response(_with_files(page, parts))


@get("/gallery/outputs/{output:uuid}", security=ANYBODY, responses=answers(200, SharedOutputAnswer, 404))
async def one(
    output: FromPath[UUID], parts: NamedDependency[Parts], reader: NamedDependency[Reader]
) -> Response[bytes]:
    """One of them, with its graph and values where its owner shows those; or your own that is hidden or withdrawn."""
    row = await reader.one(shared_outputs.output, OutputId(output), missing=NO_OUTPUT)
    said = await reader.one(comments.counted, output, Kind.OUTPUT, missing=NO_OUTPUT)
    shown = _with_file(msgspec.json.decode(row, type=dict[str, Any]), parts) | msgspec.json.decode(said)
    for name in ("graph", "values"):
        body = await parts.commands.needs.contents.get(Digest(shown[name])) if shown[name] else None
        shown[name] = None if body is None else msgspec.Raw(body)
    return json_response(msgspec.json.encode(shown))


@post(
    "/gallery/outputs",
    dto=StrictBody[PublishBody],
    return_dto=None,
    responses=answers(201, PublishedAnswer, 401, 404, 409, 415, 422),
)
async def publish(
    data: JSONBody[PublishBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> PublishedAnswer:
    """Show an output of a run of yours to everybody; again, to say other things of it. 409: the run has not succeeded,
    or a moderator has hidden the output."""
    published: PublishedOutput = await parts.commands.run(
        PublishOutput(
            by=caller.account,
            run=RunId(data.run),
            node=data.node,
            index=data.index,
            name=data.name,
            description=data.description,
            tags=data.tags,
            sensitive=data.sensitive,
            with_workflow=data.with_workflow,
        ),
        context,
    )
    return PublishedAnswer(published.id, published.position)


@delete("/gallery/outputs/{output:uuid}", status_code=200, responses=answers(200, Moved, 401, 404))
async def withdraw(
    output: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Show it to nobody else any more. The output itself stays yours."""
    wish = WithdrawOutput(by=caller.account, output=OutputId(output))
    return Moved((await parts.commands.run(wish, context)).position)


@put("/gallery/outputs/{output:uuid}/like", status_code=200, responses=answers(200, Moved, 401, 404))
async def like(
    output: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Like an output. Asking twice changes nothing."""
    wish = LikeOutput(by=caller.account, output=OutputId(output))
    return Moved((await parts.commands.run(wish, context)).position)


@delete("/gallery/outputs/{output:uuid}/like", status_code=200, responses=answers(200, Moved, 401, 404))
async def unlike(
    output: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Take the like back, also of one that is shown no more."""
    wish = UnlikeOutput(by=caller.account, output=OutputId(output))
    return Moved((await parts.commands.run(wish, context)).position)


def _with_files(page: bytes, parts: Parts) -> bytes:
    decoded = msgspec.json.decode(page, type=dict[str, Any])
    for entry in decoded["items"]:
        _with_file(entry, parts)
    return msgspec.json.encode(decoded)


def _with_file(entry: dict[str, Any], parts: Parts) -> dict[str, Any]:
    """With addresses in place of the run, which is nobody else's business."""
    wanted = {} if entry["with_workflow"] else BARE
    with_urls({"id": entry.pop("run"), "outputs": [entry["file"]], **wanted}, parts)
    return entry


ROUTER = Router(
    "/", route_handlers=[show, show_tags, mixed, of, one, publish, withdraw, like, unlike], tags=["community"]
)
