"""What an account is notified of, and how far it has read. One stream for each account."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event
from domain.ids import AccountId, CommentId, OutputId, Position, WorkflowId
from domain.refusals import Conflict


class Kind(StrEnum):
    FOLLOWED = "followed"
    COMMENTED = "commented"
    ANSWERED = "answered"
    MENTIONED = "mentioned"
    LIKED = "liked"
    HIDDEN = "hidden"
    RESTORED = "restored"
    MARKED = "marked"


class NoticeGiven(Event, frozen=True, kw_only=True, tag="notice.given.v1"):
    """`cause`: the event that it tells of. `by`: who did it; None for likes and moderators, of whom no name is told.

    `day`: of likes, when they were given, as 2026-12-01.
    """

    account: AccountId
    kind: Kind
    cause: Position
    by: AccountId | None = None
    workflow: WorkflowId | None = None
    comment: CommentId | None = None
    output: OutputId | None = None
    count: int = 1
    reason: str = ""
    day: str = ""


class NoticeRead(Event, frozen=True, kw_only=True, tag="notice.read.v1"):
    """One of them, as it was at `upto`: when more has come to it since, it is unread again."""

    account: AccountId
    notice: UUID
    upto: Position


class NoticesRead(Event, frozen=True, kw_only=True, tag="notice.all_read.v1"):
    """All up to that position."""

    account: AccountId
    upto: Position


class NoticeMailSet(Event, frozen=True, kw_only=True, tag="notice.mail_set.v1"):
    account: AccountId
    wanted: bool


NoticeEvent: TypeAlias = NoticeGiven | NoticeRead | NoticesRead | NoticeMailSet

KEPT = 50  # things that were liked on one day: a mail is not longer
REMEMBERED = 200  # of those that were read by themselves; to read an older one again writes it down again


class Liked(Struct, frozen=True):
    """How many likes a thing was given on the day that likes were last given."""

    workflow: WorkflowId | None
    output: OutputId | None
    count: int


class Notices(Struct, frozen=True):
    """`told`: up to which cause. `upto`: all before it are read. `liked`: on `day`, which is the last with likes."""

    account: AccountId | None = None
    told: Position = Position(0)
    upto: Position = Position(0)
    read: tuple[tuple[UUID, Position], ...] = ()
    mail: bool = False
    day: str = ""
    liked: tuple[Liked, ...] = ()


def evolve(notices: Notices, event: NoticeEvent) -> Notices:
    known = replace(notices, account=event.account)
    match event:
        case NoticeGiven(cause=cause) as given:
            told = replace(known, told=max(known.told, cause))
            return _like(told, given) if given.kind is Kind.LIKED else told
        case NoticeRead(notice=notice, upto=upto):
            return replace(known, read=(*known.read, (notice, upto))[-REMEMBERED:])
        case NoticesRead(upto=upto):
            return replace(known, upto=upto, read=tuple(each for each in known.read if each[1] > upto))
        case NoticeMailSet(wanted=wanted):
            return replace(known, mail=wanted)


NOTICES: Decider[Notices, NoticeEvent] = Decider(
    "notice", Notices(), evolve, lambda notices: notices.account, shape=2
)


def give(notices: Notices, *, given: Sequence[NoticeGiven]) -> list[NoticeEvent]:
    """Tell of what happened, in the order in which it did; what was told is not told again. Likes are gathered."""
    gathered: dict[object, NoticeGiven] = {}
    for each in given:
        if each.cause <= notices.told:
            continue
        key = (each.workflow, each.output, each.day) if each.kind is Kind.LIKED else each.cause
        before = gathered.pop(key, None)
        gathered[key] = each if before is None else replace(each, count=before.count + each.count)
    return list(gathered.values())


def read(notices: Notices, *, account: AccountId, notice: UUID, upto: Position) -> list[NoticeEvent]:
    """That there is such a one is known by the caller."""
    if upto <= notices.upto or any(id == notice and upto <= seen for id, seen in notices.read):
        return []
    return [NoticeRead(account=account, notice=notice, upto=upto)]


def read_all(notices: Notices, *, account: AccountId, upto: Position) -> list[NoticeEvent]:
    return [] if upto <= notices.upto else [NoticesRead(account=account, upto=upto)]


def set_mail(notices: Notices, *, account: AccountId, wanted: bool, confirmed: bool) -> list[NoticeEvent]:
    """Have it mailed as well, to an address that is known to be one's own."""
    if wanted and not confirmed:
        raise Conflict("Confirm your e-mail address first.")
    return [] if notices.mail == wanted else [NoticeMailSet(account=account, wanted=wanted)]


def _like(notices: Notices, given: NoticeGiven) -> Notices:
    """Of a day that is over nothing is kept: it was told."""
    if given.day < notices.day:
        return notices
    before = notices.liked if given.day == notices.day else ()
    same = [each for each in before if (each.workflow, each.output) == (given.workflow, given.output)]
    count = given.count + sum(each.count for each in same)
    others = tuple(each for each in before if each not in same)
    liked = (*others, Liked(given.workflow, given.output, count))[-KEPT:]
    return replace(notices, day=given.day, liked=liked)
