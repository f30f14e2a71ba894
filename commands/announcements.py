"""What administrators wish to tell everybody."""

from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from commands.needs import Command, Needs
from commands.streams import Accepted, Change, Context
from domain import announcement
from domain.announcement import (
    ANNOUNCEMENTS,
    ANNOUNCEMENTS_ID,
    AnnouncementEvent,
    AnnouncementPosted,
    Announcements,
    Notice,
    Severity,
)
from domain.ids import AnnouncementId, Position


class PostAnnouncement(Command, frozen=True, kw_only=True):
    """`starts_at` None: at once. Whether the one who asks may do so is known by the caller; so in those below."""

    text: str
    severity: Severity = Severity.INFO
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    reason: str


class ChangeAnnouncement(Command, frozen=True, kw_only=True):
    """`said`: what is to be otherwise, by the names of Notice."""

    announcement: AnnouncementId
    said: dict[str, Any]
    reason: str


class EndAnnouncement(Command, frozen=True, kw_only=True):
    announcement: AnnouncementId
    reason: str


class Announced(Struct, frozen=True):
    id: AnnouncementId
    position: Position


async def post_announcement(command: PostAnnouncement, context: Context, needs: Needs) -> Announced:
    """Raises Invalid, Conflict, KeyReused."""
    id, now = AnnouncementId(needs.new_id()), needs.now()
    notice = Notice(
        text=command.text,
        severity=command.severity,
        starts_at=command.starts_at or now,
        ends_at=command.ends_at,
    )

    def decide(state: Announcements) -> list[AnnouncementEvent]:
        return announcement.post(state, announcement=id, notice=notice, reason=command.reason, now=now)

    accepted = await needs.streams.transact(context, _change(decide))
    if accepted.repeated and (before := await needs.streams.log.at(accepted.position)) is not None:
        assert isinstance(before.event, AnnouncementPosted)
        id = before.event.announcement
    return Announced(id, accepted.position)


async def change_announcement(command: ChangeAnnouncement, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Invalid, KeyReused."""

    def decide(state: Announcements) -> list[AnnouncementEvent]:
        notice = replace(announcement.known(state, command.announcement), **command.said)
        return announcement.change(
            state, announcement=command.announcement, notice=notice, reason=command.reason
        )

    return await needs.streams.transact(context, _change(decide))


async def end_announcement(command: EndAnnouncement, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Invalid, KeyReused."""

    def decide(state: Announcements) -> list[AnnouncementEvent]:
        return announcement.end(state, announcement=command.announcement, reason=command.reason)

    return await needs.streams.transact(context, _change(decide))


def _change(decide: Any) -> Change[Announcements, AnnouncementEvent]:
    return Change(ANNOUNCEMENTS, ANNOUNCEMENTS_ID, decide)
