"""How an account's pictures, and those of one run, are handed out: as a body says it."""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from litestar import Router, get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from commands.outputs import ChooseRendition
from commands.streams import Context
from domain.handling import HANDLING
from domain.ids import AccountId, handling_id
from domain.rendition import Format, Rendition


class RenditionBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is left out is as the file was made. Originals stay; what moves, and what is no picture, stays as it is.

    `metadata`: whether the file tells of how it was made, such as ComfyUI's prompt and workflow.
    """

    format: Literal["original", "png", "jpeg", "webp"] = "original"
    quality: Annotated[int, Meta(ge=10, le=100, multiple_of=5, description="Of JPEG and WebP.")] = 90
    metadata: bool = True


OwnRendition: TypeAlias = Annotated[
    RenditionBody | None,
    Meta(description="How its pictures are handed out; null: as you want all of them."),
]


def chosen(body: RenditionBody | None) -> Rendition | None:
    if body is None:
        return None
    return Rendition(format=Format(body.format), quality=body.quality, metadata=body.metadata)


async def with_rendition(row: dict[str, Any], account: AccountId, parts: Parts) -> dict[str, Any]:
    """Of a run that does not say it: as its owner wants all of them. For rows that are not from Postgres."""
    if row.get("rendition") is None:
        state, _ = await parts.commands.needs.streams.load(HANDLING, handling_id(account))
        row["rendition"] = msgspec.to_builtins(state.rendition)
    return row


@get("/accounts/me/rendition", responses=answers(200, RenditionBody, 401))
async def show(parts: NamedDependency[Parts], caller: NamedDependency[Caller]) -> RenditionBody:
    """How your pictures are handed out, where a run does not say otherwise."""
    state, _ = await parts.commands.needs.streams.load(HANDLING, handling_id(caller.account))
    kept = state.rendition
    return RenditionBody(format=kept.format.value, quality=kept.quality, metadata=kept.metadata)


@put(
    "/accounts/me/rendition",
    dto=StrictBody[RenditionBody],
    return_dto=None,
    status_code=200,
    responses=answers(200, Moved, 401, 415, 422),
)
async def choose(
    data: JSONBody[RenditionBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Have your pictures handed out in another format, or without what their files tell; also those of before."""
    rendition = chosen(data) or Rendition()
    accepted = await parts.commands.run(ChooseRendition(by=caller.account, rendition=rendition), context)
    return Moved(accepted.position)


ROUTER = Router("/", route_handlers=[show, choose], tags=["outputs"])
