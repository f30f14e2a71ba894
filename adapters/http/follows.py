"""Following accounts, and the feed that comes of it."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from litestar import Response, Router, delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from msgspec import Meta, Struct

from adapters.http.answers import Cursor, answers
from adapters.http.auth import Moved
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.reads import Reader, json_response
from commands.follows import FollowAccount, UnfollowAccount
from commands.named_accounts import account_named
from commands.streams import Context
from projections import feed, follows


class FollowingAnswer(Struct):
    """`followed`: by you."""

    followers: int
    following: int
    followed: bool


class PersonFollowing(Struct):
    username: str
    followers: int
    following: int


class FollowPage(Struct):
    items: list[PersonFollowing]
    next_cursor: Cursor


class FeedThing(Struct):
    id: UUID
    name: str


class FeedComment(Struct):
    """`text` is empty when it was deleted since."""

    id: UUID
    text: str


class FeedEntry(Struct):
    kind: Annotated[
        Literal["published", "commented", "mentioned", "followed"],
        Meta(description="`mentioned`: you, in a comment; `followed`: you."),
    ]
    by: str
    yours: bool
    at: datetime
    workflow: Annotated[FeedThing | None, Meta(description="Null where there is none, or none to see.")]
    output: Annotated[FeedThing | None, Meta(description="A shown output; as with workflows.")]
    comment: FeedComment | None


class FeedPage(Struct):
    items: list[FeedEntry]
    next_cursor: Cursor


@get("/accounts/{name:str}/follow", responses=answers(200, FollowingAnswer, 401, 404))
async def standing(
    name: FromPath[str],
    caller: NamedDependency[Caller],
    parts: NamedDependency[Parts],
    reader: NamedDependency[Reader],
) -> Response[bytes]:
    """How many follow somebody, how many they follow, and whether you do. By name or by id."""
    account = await account_named(name, parts.commands.needs)
    return json_response(await reader.ask(follows.standing, account))


@put("/accounts/{name:str}/follow", status_code=200, responses=answers(200, Moved, 401, 404, 409))
async def follow(
    name: FromPath[str],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Hear of what somebody publishes and says: it stands in your feed. 409: that is you."""
    account = await account_named(name, parts.commands.needs)
    wish = FollowAccount(by=caller.account, account=account)
    return Moved((await parts.commands.run(wish, context)).position)


@delete("/accounts/{name:str}/follow", status_code=200, responses=answers(200, Moved, 401, 404))
async def unfollow(
    name: FromPath[str],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Hear of it no more."""
    account = await account_named(name, parts.commands.needs)
    wish = UnfollowAccount(by=caller.account, account=account)
    return Moved((await parts.commands.run(wish, context)).position)


@get("/accounts/{name:str}/followers", responses=answers(200, FollowPage, 401, 404, 422))
async def followers(
    name: FromPath[str],
    caller: NamedDependency[Caller],
    parts: NamedDependency[Parts],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Who follows somebody, the last first."""
    account = await account_named(name, parts.commands.needs)
    return await reader.page(follows.followers, account, limit=limit, cursor=cursor)


@get("/accounts/{name:str}/following", responses=answers(200, FollowPage, 401, 404, 422))
async def following(
    name: FromPath[str],
    caller: NamedDependency[Caller],
    parts: NamedDependency[Parts],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Whom somebody follows, the last first."""
    account = await account_named(name, parts.commands.needs)
    return await reader.page(follows.following, account, limit=limit, cursor=cursor)


@get("/feed", responses=answers(200, FeedPage, 401, 422))
async def show_feed(
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """What you and those whom you follow have published and said, where you were mentioned, and who follows you; the
    newest first."""
    await reader.caught_up("follows", "comments", "gallery", "shared_outputs")
    return await reader.page(feed.of, caller.account, limit=limit, cursor=cursor)


ROUTER = Router(
    "/", route_handlers=[standing, follow, unfollow, followers, following, show_feed], tags=["community"]
)
