"""What administrators tell everybody: work that is to come, a fault that is known.

All of it is one stream: few are shown at a time, and whoever asks is shown all of them.
"""

from datetime import datetime
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event
from domain.ids import AnnouncementId
from domain.reasons import stated
from domain.refusals import Conflict, FieldError, Invalid, NotFound

ANNOUNCEMENTS_ID = UUID("b2f4a7c8-3d5e-5f1a-9c27-6e8d0a4b1f93")
"""The stream of all of them: there is one."""


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Notice(Struct, frozen=True, kw_only=True):
    """What is told, and when: `ends_at` None: until somebody ends it."""

    text: str
    severity: Severity = Severity.INFO
    starts_at: datetime
    ends_at: datetime | None = None


class AnnouncementPosted(Event, frozen=True, kw_only=True, tag="announcement.posted.v1"):
    announcement: AnnouncementId
    notice: Notice
    reason: str


class AnnouncementChanged(Event, frozen=True, kw_only=True, tag="announcement.changed.v1"):
    """All that it says from now on."""

    announcement: AnnouncementId
    notice: Notice
    reason: str


class AnnouncementEnded(Event, frozen=True, kw_only=True, tag="announcement.ended.v1"):
    announcement: AnnouncementId
    reason: str


AnnouncementEvent: TypeAlias = AnnouncementPosted | AnnouncementChanged | AnnouncementEnded

MAX_TEXT = 4_000
MAX_OPEN = 50  # the state is read and shown as a whole
OVER = "Its time was over."
NO_ANNOUNCEMENT = "There is no such announcement, or it has ended."


class Announcements(Struct, frozen=True):
    """Those that nobody has ended, by their ids."""

    open: dict[AnnouncementId, Notice] = {}

    def shown(self, now: datetime) -> dict[AnnouncementId, Notice]:
        return {
            id: notice
            for id, notice in self.open.items()
            if notice.starts_at <= now and not over(notice, now)
        }


def evolve(announcements: Announcements, event: AnnouncementEvent) -> Announcements:
    match event:
        case (
            AnnouncementPosted(announcement=id, notice=notice)
            | AnnouncementChanged(announcement=id, notice=notice)
        ):
            return Announcements({**announcements.open, id: notice})
        case AnnouncementEnded(announcement=ended):
            return Announcements({id: notice for id, notice in announcements.open.items() if id != ended})


ANNOUNCEMENTS: Decider[Announcements, AnnouncementEvent] = Decider(
    "announcement", Announcements(), evolve, lambda announcements: None
)


def post(
    announcements: Announcements,
    *,
    announcement: AnnouncementId,
    notice: Notice,
    reason: str,
    now: datetime,
) -> list[AnnouncementEvent]:
    """Tell everybody something. Those whose time is over are ended on the way."""
    given, told = stated(reason), _checked(notice)
    if announcement in announcements.open:
        raise Conflict("This announcement exists already.")
    past = [id for id, each in announcements.open.items() if over(each, now)]
    if len(announcements.open) - len(past) >= MAX_OPEN:
        raise Conflict(f"At most {MAX_OPEN} announcements can be open. End one of them first.")
    ended = [AnnouncementEnded(announcement=id, reason=OVER) for id in past]
    return [*ended, AnnouncementPosted(announcement=announcement, notice=told, reason=given)]


def change(
    announcements: Announcements, *, announcement: AnnouncementId, notice: Notice, reason: str
) -> list[AnnouncementEvent]:
    """Put it otherwise, or tell it at another time."""
    given, told = stated(reason), _checked(notice)
    if known(announcements, announcement) == told:
        return []
    return [AnnouncementChanged(announcement=announcement, notice=told, reason=given)]


def end(
    announcements: Announcements, *, announcement: AnnouncementId, reason: str
) -> list[AnnouncementEvent]:
    """Show it no more."""
    given = stated(reason)
    known(announcements, announcement)
    return [AnnouncementEnded(announcement=announcement, reason=given)]


def known(announcements: Announcements, announcement: AnnouncementId) -> Notice:
    """Raises NotFound."""
    if (found := announcements.open.get(announcement)) is None:
        raise NotFound(NO_ANNOUNCEMENT)
    return found


def over(notice: Notice, now: datetime) -> bool:
    return notice.ends_at is not None and notice.ends_at <= now


def _checked(notice: Notice) -> Notice:
    text, errors = notice.text.strip(), list[FieldError]()
    if not 1 <= len(text) <= MAX_TEXT:
        errors.append(FieldError("text", f"It must have 1 to {MAX_TEXT} characters."))
    elif any(ord(letter) < 32 and letter not in "\t\r\n" for letter in text):
        errors.append(FieldError("text", "Control characters."))
    if notice.ends_at is not None and notice.ends_at <= notice.starts_at:
        errors.append(FieldError("ends_at", "It must be later than `starts_at`."))
    if errors:
        raise Invalid("This cannot be announced.", *errors)
    return replace(notice, text=text)
