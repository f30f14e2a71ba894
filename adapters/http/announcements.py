"""Announcements: told by administrators, read by everybody."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from adapters.http.answers import ANYBODY, answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from commands.announcements import Announced, ChangeAnnouncement, EndAnnouncement, PostAnnouncement
from commands.streams import Context
from domain.announcement import ANNOUNCEMENTS, ANNOUNCEMENTS_ID, Notice, Severity
from domain.ids import AnnouncementId, Position

Text = Annotated[
    str, Meta(description="Text, and nothing but.", examples=["On Sunday we are away for an hour."])
]
At = Annotated[datetime, Meta(tz=True)]
Reason = Annotated[
    str, Meta(description="Why, for those who read the log later.", examples=["New machines."])
]


class AnnouncementAnswer(Struct):
    id: UUID
    text: str
    severity: Severity
    starts_at: datetime
    ends_at: Annotated[datetime | None, Meta(description="null: until somebody ends it.")]


class AnnouncementList(Struct):
    items: list[AnnouncementAnswer]


class AnnouncedAnswer(Struct):
    id: UUID
    position: Position


class PostBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`starts_at` left out: at once. `ends_at` left out: until somebody ends it."""

    text: Text
    severity: Severity = Severity.INFO
    starts_at: At | None = None
    ends_at: At | None = None
    reason: Reason


class ChangeBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is left out stays as it is."""

    text: Text | UnsetType = UNSET
    severity: Severity | UnsetType = UNSET
    starts_at: At | UnsetType = UNSET
    ends_at: At | UnsetType | None = UNSET
    reason: Reason


@get("/announcements", security=ANYBODY, responses=answers(200, AnnouncementList))
async def show(parts: NamedDependency[Parts]) -> AnnouncementList:
    """What is to be told just now, the last begun first. Nobody need be logged in."""
    state, _ = await parts.commands.needs.streams.load(ANNOUNCEMENTS, ANNOUNCEMENTS_ID)
    return _listed(state.shown(parts.now()))


@get("/announcements", responses=answers(200, AnnouncementList))
async def show_all(parts: NamedDependency[Parts], administrator: NamedDependency[Caller]) -> AnnouncementList:
    """Everything that nobody has ended, also what is still to come or whose time is over."""
    state, _ = await parts.commands.needs.streams.load(ANNOUNCEMENTS, ANNOUNCEMENTS_ID)
    return _listed(state.open)


@post(
    "/announcements",
    status_code=201,
    dto=StrictBody[PostBody],
    return_dto=None,
    responses=answers(201, AnnouncedAnswer),
)
async def announce(
    data: JSONBody[PostBody],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Response[AnnouncedAnswer]:
    """Tell everybody something. 409 where too much is being told already."""
    wish = PostAnnouncement(
        text=data.text,
        severity=data.severity,
        starts_at=data.starts_at,
        ends_at=data.ends_at,
        reason=data.reason,
    )
    made: Announced = await parts.commands.run(wish, context)
    return Response(AnnouncedAnswer(made.id, made.position), status_code=201)


@patch(
    "/announcements/{announcement:uuid}",
    dto=StrictBody[ChangeBody],
    return_dto=None,
    responses=answers(200, Moved),
)
async def change(
    announcement: FromPath[UUID],
    data: JSONBody[ChangeBody],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Put it otherwise, or tell it at another time."""
    said = {name: value for name, value in asdict(data).items() if name != "reason" and value is not UNSET}
    wish = ChangeAnnouncement(announcement=AnnouncementId(announcement), said=said, reason=data.reason)
    return Moved((await parts.commands.run(wish, context)).position)


@delete("/announcements/{announcement:uuid}", status_code=200, responses=answers(200, Moved, 422))
async def end(
    announcement: FromPath[UUID],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
    reason: FromQuery[str] = "",
) -> Moved:
    """Show it no more, and why in `reason`."""
    wish = EndAnnouncement(announcement=AnnouncementId(announcement), reason=reason)
    return Moved((await parts.commands.run(wish, context)).position)


def _listed(notices: dict[AnnouncementId, Notice]) -> AnnouncementList:
    last_first = sorted(notices.items(), key=lambda each: each[1].starts_at, reverse=True)
    return AnnouncementList(
        [
            AnnouncementAnswer(id, notice.text, notice.severity, notice.starts_at, notice.ends_at)
            for id, notice in last_first
        ]
    )


ROUTER = Router("/", route_handlers=[show], tags=["announcements"])
ADMIN = Router("/admin", route_handlers=[show_all, announce, change, end], tags=["admin", "announcements"])
