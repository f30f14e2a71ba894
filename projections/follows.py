"""Follows: who hears of whom, and how many they are. Everybody who is logged in may look."""

from collections.abc import Iterable
from pathlib import Path
from typing import get_args
from uuid import UUID

from msgspec import Struct

from domain.account import AccountErased, AccountRegistered
from domain.event import AnyRecorded
from domain.follow import FollowBegun, FollowEnded, FollowEvent
from domain.ids import AccountId
from domain.personal import DELETED_ACCOUNT
from projections.paging import bounded, numbered, page
from projections.projection import Buffer, Projection, Table
from projections.reading import Cursor, one


class FollowRow(Struct, gc=False):
    """`position`: the place in the log of when it began."""

    id: UUID
    follower: AccountId
    followed: AccountId
    position: int


class FollowCountsRow(Struct, gc=False):
    """While nobody follows them and they follow nobody, nobody sees the name."""

    account: AccountId
    username: str
    followers: int
    following: int


def _ended(recorded: AnyRecorded) -> Iterable[UUID]:
    return (recorded.stream,) if type(recorded.event) is FollowEnded else ()


def _both(recorded: AnyRecorded) -> Iterable[UUID]:
    match recorded.event:
        case (
            FollowBegun(follower=follower, followed=followed)
            | FollowEnded(follower=follower, followed=followed)
        ):
            return (follower, followed)
        case AccountErased():
            return (recorded.stream,)
        case _:
            return ()


ALL = Table("follows", FollowRow, ("id",), _ended)
COUNTS = Table("follow_counts", FollowCountsRow, ("account",), _both)


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    follows, counts = buffer[ALL.name], buffer[COUNTS.name]
    match recorded.event:
        case AccountRegistered(account=account, username=username):
            name = DELETED_ACCOUNT if username.text is None else username.text
            counts.put(FollowCountsRow(account, name, 0, 0))
        case AccountErased():
            counts.change(recorded.stream, username=DELETED_ACCOUNT)
        case FollowBegun(follower=follower, followed=followed):
            follows.put(FollowRow(recorded.stream, follower, followed, recorded.position))
            _count(follower, followed, 1, buffer)
        case FollowEnded(follower=follower, followed=followed):
            follows.remove(recorded.stream)
            _count(follower, followed, -1, buffer)
        case _:
            pass


def _count(follower: AccountId, followed: AccountId, more: int, buffer: Buffer) -> None:
    counts = buffer[COUNTS.name]
    if row := counts.edit(follower):
        row.following += more
    if row := counts.edit(followed):
        row.followers += more


FOLLOWS = Projection(
    name="follows",
    version=1,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(ALL, COUNTS),
    fold=fold,
    events=(AccountRegistered, AccountErased, *get_args(FollowEvent)),
    reads=frozenset(),
    personal=True,
)


def _page(side: str, other: str) -> bytes:
    return page(
        f"""SELECT json_build_object('username', who.username, 'followers', who.followers,
            'following', who.following) AS item, follow.position
        FROM read.follows AS follow JOIN read.follow_counts AS who ON who.account = follow.{other}
        WHERE follow.{side} = %(account)s AND follow.position < %(before)s
        ORDER BY follow.position DESC LIMIT %(limit)s::int + 1""",
        "position::text",
    )


_FOLLOWERS, _FOLLOWING = _page("followed", "follower"), _page("follower", "followed")
_STANDING = b"""SELECT convert_to(json_build_object(
    'followers', coalesce(max(counts.followers), 0), 'following', coalesce(max(counts.following), 0),
    'followed', EXISTS (
        SELECT FROM read.follows AS mine
        WHERE mine.follower = (SELECT read.viewer()) AND mine.followed = %(account)s
    )
)::text, 'UTF8')
FROM read.follow_counts AS counts WHERE counts.account = %(account)s"""

_BEHIND_ALL = 2**62


async def followers(cursor: Cursor, account: AccountId, limit: int, after: str | None = None) -> bytes:
    """Who follows them, the last first. Raises Invalid."""
    asked = {"account": account, "limit": bounded(limit), "before": numbered(after, _BEHIND_ALL)}
    return await one(cursor, _FOLLOWERS, asked) or b""


async def following(cursor: Cursor, account: AccountId, limit: int, after: str | None = None) -> bytes:
    """Whom they follow, the last first. Raises Invalid."""
    asked = {"account": account, "limit": bounded(limit), "before": numbered(after, _BEHIND_ALL)}
    return await one(cursor, _FOLLOWING, asked) or b""


async def standing(cursor: Cursor, account: AccountId) -> bytes:
    """How many follow them and are followed by them, and whether oneself does."""
    return await one(cursor, _STANDING, {"account": account}) or b""
