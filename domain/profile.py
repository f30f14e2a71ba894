"""What an account shows of itself: a name to be called by, some words, addresses of pages, a picture.

All of it is personal: its texts are sealed in the events, its picture is kept beside the log.
"""

from typing import TypeAlias
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.account import SESSION_OVER, Account
from domain.event import Decider, Event
from domain.ids import AccountId
from domain.personal import Personal
from domain.refusals import NotAuthenticated


class ProfileChanged(Event, frozen=True, kw_only=True, tag="profile.changed.v1"):
    """What is None stays as it was; an empty text takes it away. `links`: one a line."""

    account: AccountId
    display_name: Personal | None = None
    bio: Personal | None = None
    links: Personal | None = None


class AvatarChanged(Event, frozen=True, kw_only=True, tag="profile.avatar_changed.v1"):
    """`avatar` names the picture that is kept beside the log; None: there is none any more."""

    account: AccountId
    avatar: UUID | None


ProfileEvent: TypeAlias = ProfileChanged | AvatarChanged


class Profile(Struct, frozen=True):
    account: AccountId | None = None
    display_name: Personal | None = None
    bio: Personal | None = None
    links: Personal | None = None
    avatar: UUID | None = None


def evolve(profile: Profile, event: ProfileEvent) -> Profile:
    match event:
        case ProfileChanged(account=account):
            return replace(
                profile,
                account=account,
                display_name=event.display_name or profile.display_name,
                bio=event.bio or profile.bio,
                links=event.links or profile.links,
            )
        case AvatarChanged(account=account, avatar=avatar):
            return replace(profile, account=account, avatar=avatar)


PROFILE: Decider[Profile, ProfileEvent] = Decider(
    "profile", Profile(), evolve, lambda profile: profile.account
)


def change(
    profile: Profile,
    whose: Account,
    *,
    display_name: Personal | None = None,
    bio: Personal | None = None,
    links: Personal | None = None,
) -> list[ProfileEvent]:
    """Say something else of oneself. What is None, or sealed as it is already, stays."""
    event = ProfileChanged(
        account=_there(whose),
        display_name=None if display_name == profile.display_name else display_name,
        bio=None if bio == profile.bio else bio,
        links=None if links == profile.links else links,
    )
    return [] if (event.display_name, event.bio, event.links) == (None, None, None) else [event]


def show(profile: Profile, whose: Account, *, avatar: UUID | None) -> list[ProfileEvent]:
    """Show another picture, or none."""
    account = _there(whose)
    return [] if profile.avatar == avatar else [AvatarChanged(account=account, avatar=avatar)]


def _there(whose: Account) -> AccountId:
    if whose.id is None or whose.erased:
        raise NotAuthenticated(SESSION_OVER)
    return whose.id
