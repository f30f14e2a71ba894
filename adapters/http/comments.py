"""Comments on workflows and on outputs that are shown.

Their text is answered as it was written: whoever shows it as HTML has to escape it.
"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import ANYBODY, Cursor, answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.reads import Reader
from adapters.http.versions import NO_WORKFLOW
from commands.comments import DeleteComment, EditComment, PostComment, Posted
from commands.streams import Context
from domain.ids import CommentId, Position
from domain.place import Kind
from domain.shared_output import NO_OUTPUT
from projections import comments

Text = Annotated[str, Meta(description="Plain text, 4000 characters at most; `@name` mentions somebody.")]


class PostBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`parent`: the comment that it answers."""

    text: Text
    parent: UUID | None = None


class EditBody(Struct, frozen=True, forbid_unknown_fields=True):
    text: Text


class PostedAnswer(Struct, frozen=True):
    id: CommentId
    position: Position


class CommentAnswer(Struct, kw_only=True):
    """On a workflow or on an output: the other is null. Of one that was deleted, or is hidden, only its place is left,
    for the answers to it."""

    id: UUID
    workflow: UUID | None
    output: UUID | None
    parent: UUID | None
    author: str
    yours: bool
    text: str
    mentions: Annotated[list[str], Meta(description="The names in it that are somebody's.")]
    replies: Annotated[int, Meta(description="How many answer it: ask with `parent`.")]
    posted_at: datetime
    edited_at: datetime | None
    deleted: bool
    hidden: Annotated[bool, Meta(description="By a moderator: only who wrote it sees what it says.")]
    hidden_for: Annotated[str | None, Meta(description="Why; to who wrote it.")]


class CommentPage(Struct):
    items: list[CommentAnswer]
    next_cursor: Cursor


@get("/workflows/{workflow:uuid}/comments", security=ANYBODY, responses=answers(200, CommentPage, 404, 422))
async def show(
    workflow: FromPath[UUID],
    reader: NamedDependency[Reader],
    parent: FromQuery[UUID | None] = None,
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """What is said about your own workflow or a public one, the newest first; with `parent`, the answers to one comment
    in the order in which they came."""
    await reader.one(comments.counted, workflow, missing=NO_WORKFLOW)
    return await reader.page(comments.said, workflow, limit=limit, cursor=cursor, parent=parent)


@get(
    "/gallery/outputs/{output:uuid}/comments", security=ANYBODY, responses=answers(200, CommentPage, 404, 422)
)
async def show_on_output(
    output: FromPath[UUID],
    reader: NamedDependency[Reader],
    parent: FromQuery[UUID | None] = None,
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """What is said about an output that is shown, as with workflows."""
    await reader.one(comments.counted, output, Kind.OUTPUT, missing=NO_OUTPUT)
    return await reader.page(comments.said, output, limit=limit, cursor=cursor, parent=parent)


@post(
    "/workflows/{workflow:uuid}/comments",
    dto=StrictBody[PostBody],
    return_dto=None,
    responses=answers(201, PostedAnswer, 401, 404, 409, 415, 422),
)
async def say(
    workflow: FromPath[UUID],
    data: JSONBody[PostBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> PostedAnswer:
    """Say something about a workflow that you may see. 409: what it answers was deleted."""
    return await _say(data, Kind.WORKFLOW, workflow, parts, caller, context)


@post(
    "/gallery/outputs/{output:uuid}/comments",
    dto=StrictBody[PostBody],
    return_dto=None,
    responses=answers(201, PostedAnswer, 401, 404, 409, 415, 422),
)
async def say_on_output(
    output: FromPath[UUID],
    data: JSONBody[PostBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> PostedAnswer:
    """Say something about an output that is shown. 409: what it answers was deleted."""
    return await _say(data, Kind.OUTPUT, output, parts, caller, context)


@patch(
    "/comments/{comment:uuid}",
    dto=StrictBody[EditBody],
    return_dto=None,
    responses=answers(200, Moved, 401, 404, 415, 422),
)
async def edit(
    comment: FromPath[UUID],
    data: JSONBody[EditBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Put your comment otherwise."""
    wish = EditComment(by=caller.account, comment=CommentId(comment), text=data.text)
    return Moved((await parts.commands.run(wish, context)).position)


@delete("/comments/{comment:uuid}", status_code=200, responses=answers(200, Moved, 401, 404))
async def remove(
    comment: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Delete your comment; those who keep order delete anybody's. Answers to it stay."""
    wish = DeleteComment(by=caller.account, comment=CommentId(comment))
    return Moved((await parts.commands.run(wish, context)).position)


async def _say(
    body: PostBody, kind: Kind, subject: UUID, parts: Parts, caller: Caller, context: Context
) -> PostedAnswer:
    answered = None if body.parent is None else CommentId(body.parent)
    wish = PostComment(by=caller.account, kind=kind, subject=subject, text=body.text, answers=answered)
    posted: Posted = await parts.commands.run(wish, context)
    return PostedAnswer(posted.id, posted.position)


ROUTER = Router(
    "/", route_handlers=[show, show_on_output, say, say_on_output, edit, remove], tags=["community"]
)
