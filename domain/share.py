"""A share: a link to a workflow or an output, for whoever is given it. Nobody finds it who was not; it may expire."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event
from domain.ids import AccountId
from domain.outcome import Output
from domain.refusals import Conflict, FieldError, Invalid, NotFound


class Kind(StrEnum):
    WORKFLOW = "workflow"
    OUTPUT = "output"


class ShareMade(Event, frozen=True, kw_only=True, tag="share.made.v1"):
    """`subject`: a workflow, or the run of an output. `expires_at`: None: good until it is revoked."""

    owner: AccountId
    kind: Kind
    subject: UUID
    output: Output | None = None
    expires_at: datetime | None = None


class ShareRevoked(Event, frozen=True, kw_only=True, tag="share.revoked.v1"):
    pass


ShareEvent: TypeAlias = ShareMade | ShareRevoked

LONGEST = timedelta(days=3_660)
NO_SHARE = "There is no such link, or it is not good any more."


class Share(Struct, frozen=True):
    owner: AccountId | None = None
    kind: Kind = Kind.WORKFLOW
    subject: UUID | None = None
    output: Output | None = None
    expires_at: datetime | None = None
    revoked: bool = False


def evolve(share: Share, event: ShareEvent) -> Share:
    match event:
        case ShareMade(owner=owner, kind=kind, subject=subject, output=output, expires_at=expires_at):
            return Share(owner, kind, subject, output, expires_at)
        case ShareRevoked():
            return replace(share, revoked=True)


SHARE: Decider[Share, ShareEvent] = Decider("share", Share(), evolve, lambda share: share.owner)


def expiry(expires_in: int | None, now: datetime) -> datetime | None:
    """`expires_in`: seconds. Raises Invalid."""
    if expires_in is None:
        return None
    if not 1 <= expires_in <= LONGEST.total_seconds():
        raise Invalid(
            "The link cannot last that long.",
            FieldError("expires_in", f"It must be 1 to {int(LONGEST.total_seconds())} seconds."),
        )
    return now + timedelta(seconds=expires_in)


def make(share: Share, *, made: ShareMade) -> list[ShareEvent]:
    """That it is the owner's to show is known by the caller."""
    if share.owner is not None:
        raise Conflict("This link exists already.")
    return [made]


def revoke(share: Share, *, by: AccountId) -> list[ShareEvent]:
    """From now on it leads nowhere."""
    if share.owner != by:
        raise NotFound(NO_SHARE)
    return [] if share.revoked else [ShareRevoked()]


def opened(share: Share, *, now: datetime) -> Share:
    """What the link leads to. Raises NotFound, the same for one that never was and one that is over."""
    over = share.expires_at is not None and share.expires_at <= now
    if share.owner is None or share.subject is None or share.revoked or over:
        raise NotFound(NO_SHARE)
    return share
