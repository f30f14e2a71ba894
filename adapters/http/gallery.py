"""What everybody may look at: published workflows, and the tags that stand in them."""

from typing import Annotated

from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from msgspec import Meta, Struct

from adapters.http.answers import ANYBODY, Cursor, answers
from adapters.http.parts import Parts
from adapters.http.reads import Reader
from adapters.http.workflow_answers import GalleryPage
from commands.named_accounts import account_named
from projections import gallery
from projections.gallery import MAX_WORDS, Sort

Words = Annotated[
    str,
    Meta(
        max_length=MAX_WORDS,
        description='Words of name, description and tags; `"two words"` together, `or` between others.',
        examples=["portrait"],
    ),
]
Tag = Annotated[str, Meta(max_length=MAX_WORDS, description="Only what has this tag.", examples=["face"])]
Order = Annotated[
    Sort,
    Meta(description="`trending`: likes and runs by others, each worth half as much after two days."),
]


class TagCount(Struct):
    tag: str
    workflows: Annotated[int, Meta(description="How many published ones have it.")]


class TagPage(Struct):
    items: list[TagCount]
    next_cursor: Cursor


@get("/gallery", security=ANYBODY, responses=answers(200, GalleryPage, 422))
async def show(
    reader: NamedDependency[Reader],
    q: FromQuery[Words] = "",
    tag: FromQuery[Tag] = "",
    sort: FromQuery[Order] = Sort.NEW,
    sensitive: FromQuery[bool] = False,
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Published workflows, the newest first or in another order. Nobody needs to log in for it.

    `liked`: by you. Sensitive ones are there only if you ask for them. A cursor is good for the order that it was
    given with.
    """
    return await reader.page(
        gallery.published, limit=limit, cursor=cursor, sort=sort, words=q, tag=tag, sensitive=sensitive
    )


@get("/gallery/tags", security=ANYBODY, responses=answers(200, TagPage, 422))
async def show_tags(
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 50,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """The tags of published workflows, the most frequent first."""
    return await reader.page(gallery.tags, limit=limit, cursor=cursor)


@get("/accounts/{name:str}/workflows", security=ANYBODY, responses=answers(200, GalleryPage, 404, 422))
async def of(
    name: FromPath[str],
    parts: NamedDependency[Parts],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """The workflows that somebody has published, the newest first, sensitive ones among them."""
    account = await account_named(name, parts.commands.needs)
    return await reader.page(gallery.of, account, limit=limit, cursor=cursor)


ROUTER = Router("/", route_handlers=[show, show_tags, of], tags=["community"])
