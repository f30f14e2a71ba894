"""Backends: what there is to run things, and an account's own."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.http.answers import answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.reads import Reader, json_response
from commands.backend_access import Access
from commands.backends import (
    RemoveOwnBackend,
    SetOwnBackend,
)
from commands.credentials import Basic, Bearer, Header
from commands.streams import Context
from domain.backend import BACKEND, NO_BACKEND, Backend, own_name
from domain.ids import Position, backend_id
from domain.refusals import Conflict, NotFound
from projections import run_status
from services.ports.trying import Trial, Tried

Url = Annotated[
    str, Meta(description="Where its ComfyUI answers.", examples=["https://gpu-2.example.org:8188"])
]
Given = Annotated[
    Basic | Bearer | Header,
    Meta(description="What opens it. Never shown again.", examples=[{"kind": "bearer", "token": "..."}]),
]
NO_ANSWER = "No executor has answered. It is tried as soon as one is there."


class BackendAnswer(Struct, kw_only=True):
    """`own`: it serves one account only. `reason`: why it is not live."""

    name: str
    own: bool
    pool: str
    live: bool
    draining: Annotated[bool, Meta(description="It finishes what it has and is given nothing new.")]
    registered: Annotated[bool, Meta(description="false: an executor knows it by its own settings.")]
    executor: str
    slots: int
    comfyui_version: str
    device: str
    vram_bytes: int
    node_classes: int
    checkpoints: int
    loras: int
    other_models: int
    reason: str
    since: datetime
    url: Annotated[str | UnsetType, Meta(description="Of your own.")] = UNSET


class BackendList(Struct):
    items: list[BackendAnswer]


class OwnBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    url: Url
    credentials: Given | None = None


class OwnAnswer(Struct, kw_only=True):
    name: str
    url: str
    credentials: Annotated[str | None, Meta(description="basic, bearer, or the header's name.")]


class TriedAnswer(OwnAnswer, kw_only=True):
    """It is yours from now on, reachable or not. null: nobody could try it yet."""

    reachable: bool | None
    reason: str
    comfyui_version: str
    device: str
    position: Position


@get("/backends", responses=answers(200, BackendList, 401))
async def everybodys(
    parts: NamedDependency[Parts], caller: NamedDependency[Caller], reader: NamedDependency[Reader]
) -> Response[bytes]:
    """What there is to run things: the shared ones, and your own."""
    found: dict[str, list[dict[str, Any]]] = msgspec.json.decode(await reader.ask(run_status.backends))
    for each in found["items"]:
        if each["own"]:
            await _add_url(each, parts)
    return json_response(msgspec.json.encode(found))


@get("/backends/{name:str}", responses=answers(200, BackendAnswer, 401, 404))
async def show(
    name: FromPath[str],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
) -> Response[bytes]:
    """One of them."""
    row = msgspec.json.decode(await reader.one(run_status.backend, name, missing=NO_BACKEND))
    if row["own"]:
        await _add_url(row, parts)
    return json_response(msgspec.json.encode(row))


@get("/accounts/me/backend", responses=answers(200, OwnAnswer, 401, 404))
async def own(parts: NamedDependency[Parts], caller: NamedDependency[Caller]) -> OwnAnswer:
    """Your own ComfyUI."""
    name = own_name(caller.account)
    state, _ = await parts.commands.needs.streams.load(BACKEND, backend_id(name))
    access = await access_of(state, parts)
    if access is None:
        raise NotFound("You have no backend of your own.")
    return OwnAnswer(name=name, url=access.url, credentials=kind_of(access))


@put(
    "/accounts/me/backend",
    dto=StrictBody[OwnBody],
    return_dto=None,
    responses=answers(200, TriedAnswer, 401, 409, 413, 415, 422),
)
async def set_own(
    data: JSONBody[OwnBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> TriedAnswer:
    """Have your runs executed by your own ComfyUI, too; it serves nobody else. The answer says if it was reached."""
    wish = SetOwnBackend(by=caller.account, url=data.url, credentials=data.credentials)
    accepted = await parts.commands.run(wish, context)
    name = own_name(caller.account)
    state, _ = await parts.commands.needs.streams.load(BACKEND, backend_id(name))
    access = await access_of(state, parts)
    if access is None:
        raise Conflict("It was removed again at the same moment.")
    tried = await parts.trials.ask(
        Trial(id=parts.new_id(), url=access.url, header=access.header, value=access.value)
    )
    sight = None if tried is None else tried.sight
    return TriedAnswer(
        name=name,
        url=access.url,
        credentials=kind_of(access),
        reachable=None if tried is None else sight is not None,
        reason=_reason(tried),
        comfyui_version=sight.comfyui_version if sight else "",
        device=sight.device if sight else "",
        position=accepted.position,
    )


@delete("/accounts/me/backend", status_code=202, responses=answers(202, Moved, 401, 404))
async def remove_own(
    parts: NamedDependency[Parts], caller: NamedDependency[Caller], context: NamedDependency[Context]
) -> Moved:
    """Leave your own ComfyUI alone. Runs that it has go on elsewhere."""
    accepted = await parts.commands.run(RemoveOwnBackend(by=caller.account), context)
    return Moved(accepted.position)


async def _add_url(row: dict[str, Any], parts: Parts) -> None:
    """Only an account's own come here: others' it does not see."""
    state, _ = await parts.commands.needs.streams.load(BACKEND, backend_id(row["name"]))
    if (access := await access_of(state, parts)) is not None:
        row["url"] = access.url


async def access_of(state: Backend, parts: Parts) -> Access | None:
    if state.access is None:
        return None
    return (await parts.commands.needs.backend_access.opened([state.access])).get(state.access)


def kind_of(access: Access) -> str | None:
    if access.header == "authorization":
        return access.value.partition(" ")[0].lower()
    return access.header or None


def _reason(tried: Tried | None) -> str:
    return NO_ANSWER if tried is None else tried.reason


ROUTER = Router("/", route_handlers=[everybodys, show], tags=["backends"])
OWN = Router("/", route_handlers=[own, set_own, remove_own], tags=["backends"])
