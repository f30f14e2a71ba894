"""Profiles: one's own to change, anybody's to look at."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, Router, delete, get, patch, put
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import ANYBODY, answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import BY_KEY, Caller
from adapters.http.files import CACHED, GUARDED
from adapters.http.inputs import SLACK_BYTES, WithPicture, picture
from adapters.http.parts import Parts
from adapters.http.reads import Reader, json_response
from commands.avatars import Avatar
from commands.named_accounts import account_named
from commands.profiles import ChangeProfile, RemoveAvatar, SetAvatar
from commands.streams import Context
from domain.ids import AccountId
from domain.refusals import FieldError, Invalid, NotFound
from projections import profiles

MAX_BYTES = 10 * 1024 * 1024
NOBODY = "There is no such account."


class ProfileBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is left out stays as it is; what is empty is taken away."""

    display_name: Annotated[
        str | None, Meta(description="80 characters at most.", examples=["Ann of the foxes"])
    ] = None
    bio: Annotated[str | None, Meta(description="Plain text, 2000 characters at most.")] = None
    links: Annotated[
        list[str] | None,
        Meta(description="Eight at most, http or https.", examples=[["https://example.org/ann"]]),
    ] = None


class ProfileAnswer(Struct, kw_only=True):
    """`workflows`, `outputs`: those that everybody sees. `followed`: by you. Texts are text: show them as such."""

    username: str
    display_name: str
    bio: str
    links: list[str]
    avatar_url: Annotated[str | None, Meta(description="Good without logging in.")]
    since: datetime
    followers: int
    following: int
    workflows: int
    outputs: int
    followed: bool


@get("/accounts/me", responses=answers(200, ProfileAnswer, 401))
async def mine(
    caller: NamedDependency[Caller], parts: NamedDependency[Parts], reader: NamedDependency[Reader]
) -> Response[bytes]:
    """Your profile, as others see it."""
    return await _shown(caller.account, parts, reader)


@get("/accounts/{name:str}", security=ANYBODY, responses=answers(200, ProfileAnswer, 401, 404))
async def show(
    name: FromPath[str], parts: NamedDependency[Parts], reader: NamedDependency[Reader]
) -> Response[bytes]:
    """Somebody's profile, by name or by id. Without logging in: of those who have published something."""
    return await _shown(await account_named(name, parts.commands.needs), parts, reader)


@patch(
    "/accounts/me",
    dto=StrictBody[ProfileBody],
    return_dto=None,
    status_code=200,
    responses=answers(200, Moved, 401, 409, 415, 422),
)
async def change(
    data: JSONBody[ProfileBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Change what you show of yourself."""
    if (data.display_name, data.bio, data.links) == (None, None, None):
        raise Invalid("There is nothing to change.", FieldError("display_name", "Or bio, or links."))
    wish = ChangeProfile(
        account=caller.account, display_name=data.display_name, bio=data.bio, links=data.links
    )
    return Moved((await parts.commands.run(wish, context)).position)


@put(
    "/accounts/me/avatar",
    status_code=200,
    request_max_body_size=MAX_BYTES + SLACK_BYTES,
    dependencies={"picture": Provide(picture)},
    operation_class=WithPicture,
    responses=answers(200, Moved, 401, 413, 415, 422),
)
async def set_avatar(
    picture: NamedDependency[UploadFile],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Show a picture, sent as the form's field `image`: PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF, 10 MiB at most.

    A square is cut out of its middle and encoded anew, 256 pixels wide at most; nothing else of the file is kept.
    """
    small = await parts.pictures.avatar(picture.file)
    wish = SetAvatar(account=caller.account, avatar=Avatar(small.body, small.media_type))
    return Moved((await parts.commands.run(wish, context)).position)


@delete("/accounts/me/avatar", status_code=200, responses=answers(200, Moved, 401))
async def remove_avatar(
    parts: NamedDependency[Parts], caller: NamedDependency[Caller], context: NamedDependency[Context]
) -> Moved:
    """Show no picture any more."""
    return Moved((await parts.commands.run(RemoveAvatar(account=caller.account), context)).position)


@get(
    "/avatars/{avatar:uuid}",
    security=ANYBODY,
    responses=answers(200, bytes, 404, media_type="image/webp"),
)
async def show_avatar(
    avatar: FromPath[UUID], request: Request[Any, Any, Any], parts: NamedDependency[Parts]
) -> Response[Any]:
    """The picture of an account. Another picture has another address."""
    found = await parts.commands.needs.avatars.find(avatar)
    if found is None:
        raise NotFound("There is no such picture.")
    headers = GUARDED | {"Cache-Control": CACHED, "ETag": f'"{avatar}"'}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(None, status_code=304, headers=headers)
    return Response(found.body, headers=headers, media_type=found.media_type)


async def _shown(account: AccountId, parts: Parts, reader: Reader) -> Response[bytes]:
    await reader.caught_up("follows")
    avatars = f"{parts.public_url}/api/v1/avatars/"
    return json_response(await reader.one(profiles.profile, account, avatars, missing=NOBODY))


ROUTER = Router("/", route_handlers=[mine, change, set_avatar, remove_avatar, show_avatar], tags=["accounts"])
FOR_PROGRAMS = Router("/", route_handlers=[show], tags=["accounts"], opt={BY_KEY: True})
