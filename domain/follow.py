"""Following: one account wants to hear of what another one shows. Each such pair has a stream of its own."""

from typing import TypeAlias

from msgspec import Struct

from domain.account import Account
from domain.event import Decider, Event
from domain.ids import AccountId
from domain.refusals import Conflict, NotFound


class FollowBegun(Event, frozen=True, kw_only=True, tag="follow.begun.v1"):
    follower: AccountId
    followed: AccountId


class FollowEnded(Event, frozen=True, kw_only=True, tag="follow.ended.v1"):
    follower: AccountId
    followed: AccountId


FollowEvent: TypeAlias = FollowBegun | FollowEnded


class Follow(Struct, frozen=True):
    follower: AccountId | None = None
    lasts: bool = False


def evolve(follow: Follow, event: FollowEvent) -> Follow:
    match event:
        case FollowBegun(follower=follower):
            return Follow(follower, lasts=True)
        case FollowEnded(follower=follower):
            return Follow(follower, lasts=False)


FOLLOW: Decider[Follow, FollowEvent] = Decider("follow", Follow(), evolve, lambda follow: follow.follower)


def begin(follow: Follow, who: Account, *, by: AccountId, account: AccountId) -> list[FollowEvent]:
    """Hear of what somebody shows. Twice is as once."""
    if who.id is None or who.erased:
        raise NotFound("There is no such account.")
    if by == account:
        raise Conflict("Nobody follows themselves.")
    return [] if follow.lasts else [FollowBegun(follower=by, followed=account)]


def end(follow: Follow, *, by: AccountId, account: AccountId) -> list[FollowEvent]:
    """Hear of it no more."""
    return [FollowEnded(follower=by, followed=account)] if follow.lasts else []
