"""Notifications: what others did with what is yours, and how much of it you have read."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import Cursor, answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.reads import Reader, json_response
from commands.notifications import ReadNotice, ReadNotices, SetNoticeMail
from commands.streams import Context
from domain.ids import Position
from domain.refusals import NotFound
from projections import notices


class NoticeThing(Struct):
    id: UUID
    name: str


class NoticeComment(Struct):
    """`text` is empty when it was deleted or hidden since."""

    id: UUID
    text: str


class NoticeAnswer(Struct, kw_only=True):
    """`by` is empty for likes and moderators: nobody is told who they are."""

    id: UUID
    kind: Annotated[
        Literal["followed", "commented", "answered", "mentioned", "liked", "hidden", "restored", "marked"],
        Meta(
            description="`hidden`, `restored`, `marked`: something of yours, by a moderator, who says why in `reason`."
        ),
    ]
    by: str
    count: Annotated[int, Meta(description="Of likes: how many in one day.")]
    reason: str
    workflow: NoticeThing | None
    comment: NoticeComment | None
    output: NoticeThing | None
    at: datetime
    read: bool
    position: int


class NoticePage(Struct):
    items: list[NoticeAnswer]
    next_cursor: Cursor
    unread: Annotated[int, Meta(description="All that are; 1000: that many, or more.")]
    mail: Annotated[bool, Meta(description="Whether they are mailed to you as well.")]


class ReadBody(Struct, frozen=True, forbid_unknown_fields=True):
    upto: Annotated[int, Meta(ge=1, description="A `position`; left out: all that there are.")] | None = None


class MailBody(Struct, frozen=True, forbid_unknown_fields=True):
    wanted: bool


@get("/notifications", responses=answers(200, NoticePage, 401, 422))
async def show(
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    unread: FromQuery[bool] = False,
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Who follows you, has commented on, answered or mentioned you, what is liked, and what moderators did; the newest
    first. Likes are gathered: one notice for each workflow and day."""
    found = await reader.ask(notices.of, caller.account, limit=limit, after=cursor, unread=unread)
    standing = await reader.ask(notices.standing, caller.account)
    page = msgspec.json.decode(found, type=dict[str, msgspec.Raw])
    return json_response(msgspec.json.encode(page | msgspec.json.decode(standing)))


@post(
    "/notifications/read",
    dto=StrictBody[ReadBody],
    return_dto=None,
    status_code=200,
    responses=answers(200, Moved, 401, 415, 422),
)
async def read_all(
    data: JSONBody[ReadBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    context: NamedDependency[Context],
) -> Moved:
    """You have read all of them; or those up to a position, as you have seen them."""
    newest = Position(await reader.ask(notices.newest, caller.account))
    upto = newest if data.upto is None else min(newest, Position(data.upto))
    accepted = await parts.commands.run(ReadNotices(by=caller.account, upto=upto), context)
    return Moved(accepted.position)


@post(
    "/notifications/{notice:uuid}/read",
    status_code=200,
    responses=answers(200, Moved, 401, 404),
)
async def read(
    notice: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    context: NamedDependency[Context],
) -> Moved:
    """You have read this one. When more likes come to it, it is unread again."""
    position = await reader.ask(notices.place, caller.account, notice)
    if position is None:
        raise NotFound("There is no such notification.")
    wish = ReadNotice(by=caller.account, notice=notice, upto=Position(position))
    return Moved((await parts.commands.run(wish, context)).position)


@put(
    "/notifications/mail",
    dto=StrictBody[MailBody],
    return_dto=None,
    status_code=200,
    responses=answers(200, Moved, 401, 409, 415, 422),
)
async def set_mail(
    data: JSONBody[MailBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Have them mailed as well, likes excepted; at first they are not. 409: your address is not confirmed."""
    wish = SetNoticeMail(by=caller.account, wanted=data.wanted)
    return Moved((await parts.commands.run(wish, context)).position)


ROUTER = Router("/", route_handlers=[show, read_all, read, set_mail], tags=["community"])
