"""Profiles: what somebody shows of themselves, and how many follow them.

For those who are logged in; for everybody, while something of theirs is published.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from uuid import UUID

from msgspec import Struct

from domain.account import AccountErased, AccountRegistered
from domain.event import AnyRecorded
from domain.follow import FollowBegun, FollowEnded
from domain.ids import AccountId
from domain.personal import DELETED_ACCOUNT, Personal
from domain.profile import AvatarChanged, ProfileChanged
from projections import places
from projections.places import PlaceRow, fold_place
from projections.projection import Buffer, Projection, Table
from projections.reading import Cursor, one
from projections.rows import Rows


class ProfileRow(Struct, gc=False):
    """`workflows`, `outputs`: those that everybody sees."""

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
    outputs: int


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
        case _:
            return (recorded.owner,) if recorded.owner and any(places.touched(recorded)) else ()


SHOWN = Table("profiles", ProfileRow, ("account",), _people)
PLACES = Table("profile_places", PlaceRow, places.KEY, places.touched)


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    profiles = buffer[SHOWN.name]
    match recorded.event:
        case AccountRegistered(account=account, username=username):
            name = DELETED_ACCOUNT if username.text is None else username.text
            profiles.put(ProfileRow(account, name, "", "", (), None, recorded.at, 0, 0, 0, 0))
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
        case _:
            _show(recorded, buffer)


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


def _show(recorded: AnyRecorded, buffer: Buffer) -> None:
    """What comes into everybody's sight, and goes out of it."""
    known = buffer[PLACES.name]
    before = _in_sight(recorded, known)
    fold_place(recorded, known, PlaceRow)
    change = _in_sight(recorded, known)
    change.subtract(before)
    for (owner, is_workflow), more in change.items():
        if more and (profile := buffer[SHOWN.name].edit(owner)):
            if is_workflow:
                profile.workflows += more
            else:
                profile.outputs += more


def _in_sight(recorded: AnyRecorded, known: Rows[PlaceRow]) -> Counter[tuple[AccountId, bool]]:
    """How many workflows and outputs that the event is about everybody sees, by owner and by what they are."""
    rows = (row for stem in places.touched(recorded) for row in known.of(stem))
    return Counter((row.owner, row.id == row.stem) for row in rows if row.public)


PROFILES = Projection(
    name="profiles",
    version=3,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(SHOWN, PLACES),
    fold=fold,
    events=(
        *(AccountRegistered, AccountErased, ProfileChanged, AvatarChanged, FollowBegun, FollowEnded),
        *places.EVENTS,
    ),
    reads=frozenset({"at", "owner"}),
    personal=True,
)

_PROFILE = b"""SELECT convert_to(json_build_object(
    'username', username, 'display_name', display_name, 'bio', bio, 'links', links,
    'avatar_url', %(avatars)s::text || avatar, 'since', registered_at,
    'followers', followers, 'following', following, 'workflows', workflows,
    'outputs', outputs,
    'followed', EXISTS (
        SELECT FROM read.follows AS mine
        WHERE mine.follower = (SELECT read.viewer()) AND mine.followed = profile.account
    )
)::text, 'UTF8')
FROM read.profiles AS profile WHERE account = %(account)s"""


async def profile(cursor: Cursor, account: AccountId, avatars: str) -> bytes | None:
    """What somebody shows; None where there is nothing to see. `avatars`: what the address of a picture begins with."""
    return await one(cursor, _PROFILE, {"account": account, "avatars": avatars})
