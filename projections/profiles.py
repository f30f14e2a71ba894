"""Profiles: what somebody shows of themselves, and how many follow them.

For those who are logged in; for everybody, while something of theirs is published.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from uuid import UUID

from msgspec import Struct

from domain.account import AccountErased, AccountRegistered
from domain.event import AnyRecorded
from domain.follow import FollowBegun, FollowEnded
from domain.ids import AccountId, WorkflowId
from domain.personal import DELETED_ACCOUNT, Personal
from domain.profile import AvatarChanged, ProfileChanged
from domain.workflow import (
    WorkflowDeleted,
    WorkflowHidden,
    WorkflowPublished,
    WorkflowShownAgain,
    WorkflowTrashed,
    WorkflowWithdrawn,
)
from projections.projection import Buffer, Projection, Table
from projections.reading import Cursor, one

SHOWING = (WorkflowPublished, WorkflowShownAgain)
IN_SIGHT = (*SHOWING, WorkflowWithdrawn, WorkflowHidden, WorkflowTrashed, WorkflowDeleted)
"""What brings a workflow into everybody's sight, and out of it."""


class ProfileRow(Struct, gc=False):
    """`workflows`: the published ones."""

    account: AccountId
    username: str
    display_name: str
    bio: str
    links: tuple[str, ...]
    avatar: UUID | None
    registered_at: datetime
    followers: int
    following: int
    workflows: int


class PublishedRow(Struct, gc=False):
    workflow: WorkflowId
    owner: AccountId


def _people(recorded: AnyRecorded) -> Iterable[UUID]:
    match recorded.event:
        case ProfileChanged(account=account) | AvatarChanged(account=account):
            return (account,)
        case (
            FollowBegun(follower=follower, followed=followed)
            | FollowEnded(follower=follower, followed=followed)
        ):
            return (follower, followed)
        case AccountErased():
            return (recorded.stream,)
        case event if type(event) in IN_SIGHT and recorded.owner is not None:
            return (recorded.owner,)
        case _:
            return ()


def _workflow(recorded: AnyRecorded) -> Iterable[UUID]:
    return (recorded.stream,) if type(recorded.event) in IN_SIGHT else ()


SHOWN = Table("profiles", ProfileRow, ("account",), _people)
PUBLISHED = Table("profile_workflows", PublishedRow, ("workflow",), _workflow)


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    profiles = buffer[SHOWN.name]
    match recorded.event:
        case AccountRegistered(account=account, username=username):
            name = DELETED_ACCOUNT if username.text is None else username.text
            profiles.put(ProfileRow(account, name, "", "", (), None, recorded.at, 0, 0, 0))
        case ProfileChanged() as event:
            _say(event, buffer)
        case AvatarChanged(account=account, avatar=avatar):
            profiles.change(account, avatar=avatar)
        case AccountErased():
            profiles.remove(recorded.stream)
        case FollowBegun(follower=follower, followed=followed):
            _follow(follower, followed, 1, buffer)
        case FollowEnded(follower=follower, followed=followed):
            _follow(follower, followed, -1, buffer)
        case event if type(event) in IN_SIGHT:
            wanted = event.public if isinstance(event, WorkflowShownAgain) else True
            _publish(recorded, isinstance(event, SHOWING) and wanted, buffer)
        case _:
            pass


def _say(event: ProfileChanged, buffer: Buffer) -> None:
    profile = buffer[SHOWN.name].edit(event.account)
    if profile is None:
        return
    profile.display_name = _text(event.display_name, profile.display_name)
    profile.bio = _text(event.bio, profile.bio)
    if event.links is not None:
        profile.links = tuple(_text(event.links, "").split())


def _text(said: Personal | None, before: str) -> str:
    """What was sealed with a key that is gone says nothing."""
    return before if said is None else said.text or ""


def _follow(follower: AccountId, followed: AccountId, more: int, buffer: Buffer) -> None:
    profiles = buffer[SHOWN.name]
    if profile := profiles.edit(follower):
        profile.following += more
    if profile := profiles.edit(followed):
        profile.followers += more


def _publish(recorded: AnyRecorded, now: bool, buffer: Buffer) -> None:
    published, workflow = buffer[PUBLISHED.name], WorkflowId(recorded.stream)
    before = published.get(workflow) is not None
    if now == before or recorded.owner is None:
        return
    if now:
        published.put(PublishedRow(workflow, recorded.owner))
    else:
        published.remove(workflow)
    if profile := buffer[SHOWN.name].edit(recorded.owner):
        profile.workflows += 1 if now else -1


PROFILES = Projection(
    name="profiles",
    version=2,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(SHOWN, PUBLISHED),
    fold=fold,
    events=(
        *(AccountRegistered, AccountErased, ProfileChanged, AvatarChanged, FollowBegun, FollowEnded),
        *IN_SIGHT,
    ),
    reads=frozenset({"at", "owner"}),
    personal=True,
)

_PROFILE = b"""SELECT convert_to(json_build_object(
    'username', username, 'display_name', display_name, 'bio', bio, 'links', links,
    'avatar_url', %(avatars)s::text || avatar, 'since', registered_at,
    'followers', followers, 'following', following, 'workflows', workflows,
    'followed', EXISTS (
        SELECT FROM read.follows AS mine
        WHERE mine.follower = (SELECT read.viewer()) AND mine.followed = profile.account
    )
)::text, 'UTF8')
FROM read.profiles AS profile WHERE account = %(account)s"""


async def profile(cursor: Cursor, account: AccountId, avatars: str) -> bytes | None:
    """What somebody shows; None where there is nothing to see. `avatars`: what the address of a picture begins with."""
    return await one(cursor, _PROFILE, {"account": account, "avatars": avatars})
