"""Backends: what there is to run things, an account's own, and how administrators register and drain them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.http.answers import answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.reads import Reader, json_response
from commands.backend_access import Access
from commands.backends import (
    ChangeBackend,
    DrainBackend,
    RegisterBackend,
    RemoveBackend,
    RemoveOwnBackend,
    ResumeBackend,
    SetOwnBackend,
)
from commands.credentials import Basic, Bearer, Header
from commands.streams import Context
from domain.backend import BACKEND, NO_BACKEND, Backend, Kind, own_name
from domain.ids import AccountId, Position, backend_id
from domain.refusals import Conflict, NotFound
from domain.run import SHARED
from projections import run_status
from services.ports.trying import Trial, Tried

Url = Annotated[
    str, Meta(description="Where its ComfyUI answers.", examples=["https://gpu-2.example.org:8188"])
]
Given = Annotated[
    Basic | Bearer | Header,
    Meta(description="What opens it. Never shown again.", examples=[{"kind": "bearer", "token": "..."}]),
]
Pool = Annotated[str, Meta(description="`shared`, or a name of your own.", examples=["shared"])]
Driver = Annotated[
    str, Meta(description="The executor that drives it; empty: any that serves all.", examples=["east"])
]
Slots = Annotated[int, Meta(description="Prompts inside at once; 0: as its executor thinks.", examples=[2])]
Reason = Annotated[
    str, Meta(description="Why, for those who read the log later.", examples=["A new driver."])
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


class AdminBackend(Struct, kw_only=True):
    """As it is registered. `credentials`: how it is opened; what opens it is never shown."""

    name: str
    kind: Kind
    url: str | None
    credentials: Annotated[str | None, Meta(description="basic, bearer, or the header's name.")]
    pool: str
    account: UUID | None
    executor: str
    slots: int
    live: bool
    draining: bool
    registered: bool


class AdminBackendList(Struct):
    items: list[AdminBackend]


class RegisterBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`account`: it serves this account only."""

    name: Annotated[str, Meta(examples=["gpu-2"])]
    url: Url
    kind: Kind = Kind.COMFYUI
    credentials: Given | None = None
    pool: Pool = SHARED
    account: UUID | None = None
    executor: Driver = ""
    slots: Slots = 0
    reason: Reason = ""


class ChangeBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is left out stays as it is. `credentials: null`: none from now on."""

    url: Url | UnsetType = UNSET
    credentials: Given | UnsetType | None = UNSET
    pool: Pool | UnsetType = UNSET
    executor: Driver | UnsetType = UNSET
    slots: Slots | UnsetType = UNSET
    reason: Reason = ""


class ReasonBody(Struct, frozen=True, forbid_unknown_fields=True):
    reason: Reason


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
    access = await _access(state, parts)
    if access is None:
        raise NotFound("You have no backend of your own.")
    return OwnAnswer(name=name, url=access.url, credentials=_kind_of(access))


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
    access = await _access(state, parts)
    if access is None:
        raise Conflict("It was removed again at the same moment.")
    tried = await parts.trials.ask(
        Trial(id=parts.new_id(), url=access.url, header=access.header, value=access.value)
    )
    sight = None if tried is None else tried.sight
    return TriedAnswer(
        name=name,
        url=access.url,
        credentials=_kind_of(access),
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


@get("/backends", responses=answers(200, AdminBackendList, 401, 403))
async def show_all(parts: NamedDependency[Parts], administrator: NamedDependency[Caller]) -> AdminBackendList:
    """Every registered backend, accounts' own ones too."""
    needs, items = parts.commands.needs, []
    for name in await needs.backend_access.names():
        state, _ = await needs.streams.load(BACKEND, backend_id(name))
        if state.registered:
            items.append(await _for_admins(state, parts))
    return AdminBackendList(items)


@post(
    "/backends",
    dto=StrictBody[RegisterBody],
    return_dto=None,
    responses=answers(201, Moved, 401, 403, 409, 413, 415, 422),
)
async def register(
    data: JSONBody[RegisterBody],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Response[Moved]:
    """Have a ComfyUI driven from now on, by the executor that you name, or by any. Nothing is restarted."""
    wish = RegisterBackend(
        name=data.name,
        url=data.url,
        credentials=data.credentials,
        pool=data.pool,
        owner=None if data.account is None else AccountId(data.account),
        executor=data.executor,
        slots=data.slots,
        reason=data.reason,
    )
    accepted = await parts.commands.run(wish, context)
    url = f"{parts.public_url}/api/v1/backends/{data.name}"
    return Response(Moved(accepted.position), status_code=201, headers={"Location": url})


@patch(
    "/backends/{name:str}",
    dto=StrictBody[ChangeBody],
    return_dto=None,
    responses=answers(200, Moved, 401, 403, 404, 409, 413, 415, 422),
)
async def change(
    name: FromPath[str],
    data: JSONBody[ChangeBody],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Change where it is, what opens it, its pool, its executor or its slots. What it runs it finishes first."""
    wish = ChangeBackend(
        name=name,
        url=_set(data.url),
        credentials=_set(data.credentials),
        open=data.credentials is None,
        pool=_set(data.pool),
        executor=_set(data.executor),
        slots=_set(data.slots),
        reason=data.reason,
    )
    return Moved((await parts.commands.run(wish, context)).position)


@delete("/backends/{name:str}", status_code=202, responses=answers(202, Moved, 401, 403, 404, 409, 422))
async def remove(
    name: FromPath[str],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
    reason: FromQuery[str] = "",
) -> Moved:
    """Forget it, and say why in `reason`. Its executor leaves it at once; runs that it has go on elsewhere."""
    accepted = await parts.commands.run(RemoveBackend(name=name, reason=reason), context)
    return Moved(accepted.position)


@post(
    "/backends/{name:str}/drain",
    dto=StrictBody[ReasonBody],
    return_dto=None,
    status_code=202,
    responses=answers(202, Moved, 401, 403, 404, 413, 415, 422),
)
async def drain(
    name: FromPath[str],
    data: JSONBody[ReasonBody],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Give it nothing new; what it has it finishes."""
    accepted = await parts.commands.run(DrainBackend(name=name, reason=data.reason), context)
    return Moved(accepted.position)


@post(
    "/backends/{name:str}/resume",
    dto=StrictBody[ReasonBody],
    return_dto=None,
    status_code=202,
    responses=answers(202, Moved, 401, 403, 404, 413, 415, 422),
)
async def resume(
    name: FromPath[str],
    data: JSONBody[ReasonBody],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Give it work again."""
    accepted = await parts.commands.run(ResumeBackend(name=name, reason=data.reason), context)
    return Moved(accepted.position)


async def _add_url(row: dict[str, Any], parts: Parts) -> None:
    """Only an account's own come here: others' it does not see."""
    state, _ = await parts.commands.needs.streams.load(BACKEND, backend_id(row["name"]))
    if (access := await _access(state, parts)) is not None:
        row["url"] = access.url


async def _access(state: Backend, parts: Parts) -> Access | None:
    if state.access is None:
        return None
    return (await parts.commands.needs.backend_access.opened([state.access])).get(state.access)


async def _for_admins(state: Backend, parts: Parts) -> AdminBackend:
    access = await _access(state, parts)
    return AdminBackend(
        name=state.name,
        kind=Kind.COMFYUI,
        url=access.url if access else None,
        credentials=_kind_of(access) if access else None,
        pool=state.pool,
        account=state.owner,
        executor=state.executor,
        slots=state.slots,
        live=state.live,
        draining=state.draining,
        registered=state.registered,
    )


def _kind_of(access: Access) -> str | None:
    if access.header == "authorization":
        return access.value.partition(" ")[0].lower()
    return access.header or None


def _reason(tried: Tried | None) -> str:
    return NO_ANSWER if tried is None else tried.reason


def _set(value: Any) -> Any:
    return None if value is UNSET else value


ROUTER = Router("/", route_handlers=[everybodys, show], tags=["backends"])
OWN = Router("/", route_handlers=[own, set_own, remove_own], tags=["backends"])
ADMIN = Router(
    "/admin", route_handlers=[show_all, register, change, remove, drain, resume], tags=["admin", "backends"]
)
