"""Share links: for whoever is given one, without an account."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import ANYBODY, Cursor, answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.output_answers import FileAnswer
from adapters.http.outputs import with_urls
from adapters.http.parts import Parts
from adapters.http.reads import Reader, json_response
from adapters.http.renditions import with_rendition
from commands.shares import OpenedShare, RevokeShare, Shared, ShareThing, open_share
from commands.streams import Context
from domain.event import Recorded
from domain.ids import Position, RunId
from domain.refusals import NotFound
from domain.run import RunSubmitted
from domain.share import Kind
from domain.workflow import Requirements
from projections import shares

UNLISTED = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}
"""Whoever is shown it is not to spread the link by accident."""


class ShareBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`id`: a workflow of yours, or a run; then `node` and `index` say which of its outputs."""

    kind: Kind
    id: UUID
    node: Annotated[str, Meta(description="Of an output, as the run shows it.", examples=["9"])] | None = None
    index: Annotated[int, Meta(ge=0)] = 0
    expires_in: (
        Annotated[int, Meta(ge=1, description="Seconds; left out: until you revoke it.", examples=[86_400])]
        | None
    ) = None


class SharedAnswer(Struct, frozen=True):
    """`url` is told here, and to whoever repeats the same request under the same key: keep it."""

    id: UUID
    url: str
    expires_at: datetime | None
    position: Position


class ShareAnswer(Struct, kw_only=True):
    """`subject`: a workflow, or the run of an output."""

    id: UUID
    kind: Kind
    subject: UUID
    node: str | None
    index: int | None
    made_at: datetime
    expires_at: datetime | None
    expired: bool


class SharePage(Struct):
    items: list[ShareAnswer]
    next_cursor: Cursor


class SharedWorkflow(Struct):
    """Its newest version."""

    id: UUID
    name: str
    description: str
    tags: list[str]
    version: int
    requirements: Requirements
    graph: Annotated[
        dict[str, Any] | None, Meta(description="Null where none could be made of the editor's.")
    ]
    editor_graph: dict[str, Any] | None


class OpenedAnswer(Struct, kw_only=True):
    kind: Kind
    author: str
    expires_at: datetime | None
    workflow: SharedWorkflow | None
    output: FileAnswer | None


@post(
    "/shares",
    dto=StrictBody[ShareBody],
    return_dto=None,
    responses=answers(201, SharedAnswer, 401, 404, 415, 422, 429),
)
async def make(
    data: JSONBody[ShareBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> SharedAnswer:
    """Make a link to a workflow or an output of yours, published or not: whoever has it sees that, and nothing else."""
    shared: Shared = await parts.commands.run(
        ShareThing(
            by=caller.account,
            kind=data.kind,
            subject=data.id,
            node=data.node,
            index=data.index,
            expires_in=data.expires_in,
        ),
        context,
    )
    url = f"{parts.public_url}/api/v1/shared/{shared.token}"
    return SharedAnswer(shared.id, url, shared.expires_at, shared.position)


@get("/shares", responses=answers(200, SharePage, 401, 422))
async def own(
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """The links that you have made and not revoked, the newest first. What they are is not told again."""
    return await reader.page(shares.own, caller.account, limit=limit, cursor=cursor)


@delete("/shares/{share:uuid}", status_code=200, responses=answers(200, Moved, 401, 404))
async def revoke(
    share: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """It leads nowhere from now on. What somebody has opened by it may be fetched for two hours at most."""
    return Moved((await parts.commands.run(RevokeShare(by=caller.account, share=share), context)).position)


@get("/shared/{token:str}", security=ANYBODY, responses=answers(200, OpenedAnswer, 404))
async def show(token: FromPath[str], parts: NamedDependency[Parts]) -> Response[bytes]:
    """What a link leads to, for anybody who has it. 404: it never was, has expired, or what it led to is gone."""
    opened = await open_share(token, parts.commands.needs)
    answer = json_response(
        msgspec.json.encode(
            {
                "kind": opened.share.kind,
                "author": opened.author,
                "expires_at": opened.share.expires_at,
                "workflow": await _workflow(opened, parts),
                "output": await _output(opened, parts),
            }
        )
    )
    answer.headers.update(UNLISTED)
    return answer


async def _workflow(opened: OpenedShare, parts: Parts) -> dict[str, Any] | None:
    workflow = opened.workflow
    if workflow is None:
        return None
    newest = workflow.versions[-1]
    graphs = {
        name: await _document(content and content.digest, parts)
        for name, content in (("graph", newest.graph), ("editor_graph", newest.editor_graph))
    }
    return {
        "id": opened.subject,
        "name": workflow.name,
        "description": workflow.description,
        "tags": workflow.tags,
        "version": len(workflow.versions),
        "requirements": newest.requirements,
        **graphs,
    }


async def _document(digest: Any, parts: Parts) -> msgspec.Raw | None:
    if digest is None:
        return None
    body = await parts.commands.needs.contents.get(digest)
    if body is None:
        raise NotFound("The graph of this workflow is not there.")
    return msgspec.Raw(body)


async def _output(opened: OpenedShare, parts: Parts) -> dict[str, Any] | None:
    """As the run, or its owner, wants it handed out."""
    if opened.output is None:
        return None
    assert opened.share.owner is not None
    row: dict[str, Any] = {"id": str(opened.subject), "outputs": [msgspec.to_builtins(opened.output)]}
    match await parts.log.read(RunId(opened.subject)):
        case [Recorded(event=RunSubmitted(rendition=rendition)), *_]:
            row["rendition"] = msgspec.to_builtins(rendition)
    (shown,) = with_urls(await with_rendition(row, opened.share.owner, parts), parts)["outputs"]
    return dict(shown)


ROUTER = Router("/", route_handlers=[make, own, revoke, show], tags=["community"])
