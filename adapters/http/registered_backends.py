"""Backends, as administrators register, change, drain and remove them."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.http.answers import answers
from adapters.http.auth import Moved
from adapters.http.backends import Given, Url, access_of, kind_of
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from commands.backends import ChangeBackend, DrainBackend, RegisterBackend, RemoveBackend, ResumeBackend
from commands.streams import Context
from domain.backend import BACKEND, Backend, Kind
from domain.ids import AccountId, backend_id
from domain.run import SHARED

Pool = Annotated[str, Meta(description="`shared`, or a name of your own.", examples=["shared"])]
Endpoint = Annotated[str, Meta(description="Of a provider: its id there.", examples=["abc123"])]
Driver = Annotated[
    str, Meta(description="The executor that drives it; empty: any that serves all.", examples=["east"])
]
Slots = Annotated[int, Meta(description="Prompts inside at once; 0: as its executor thinks.", examples=[2])]
Reason = Annotated[
    str, Meta(description="Why, for those who read the log later.", examples=["A new driver."])
]


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
    """`account`: it serves this account only. RunPod: `endpoint`, and its API key as credentials of kind bearer."""

    name: Annotated[str, Meta(examples=["gpu-2"])]
    kind: Kind = Kind.COMFYUI
    url: Annotated[Url, Meta(description="Where its ComfyUI answers; left out: the provider's own.")] = ""
    endpoint: Endpoint = ""
    credentials: Given | None = None
    pool: Pool = SHARED
    account: UUID | None = None
    executor: Driver = ""
    slots: Slots = 0
    reason: Reason = ""


class ChangeBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is left out stays as it is. `credentials: null`: none from now on."""

    url: Url | UnsetType = UNSET
    endpoint: Endpoint | UnsetType = UNSET
    credentials: Given | UnsetType | None = UNSET
    pool: Pool | UnsetType = UNSET
    executor: Driver | UnsetType = UNSET
    slots: Slots | UnsetType = UNSET
    reason: Reason = ""


class ReasonBody(Struct, frozen=True, forbid_unknown_fields=True):
    reason: Reason


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
    """Have a ComfyUI, or a provider's endpoint, driven from now on, by the executor that you name, or by any.

    Nothing is restarted.
    """
    wish = RegisterBackend(
        name=data.name,
        kind=data.kind,
        url=data.url,
        endpoint=data.endpoint,
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
        endpoint=_set(data.endpoint),
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


async def _for_admins(state: Backend, parts: Parts) -> AdminBackend:
    access = await access_of(state, parts)
    return AdminBackend(
        name=state.name,
        kind=state.kind,
        url=access.url if access else None,
        credentials=kind_of(access) if access else None,
        pool=state.pool,
        account=state.owner,
        executor=state.executor,
        slots=state.slots,
        live=state.live,
        draining=state.draining,
        registered=state.registered,
    )


def _set(value: Any) -> Any:
    return None if value is UNSET else value


ADMIN = Router(
    "/admin", route_handlers=[show_all, register, change, remove, drain, resume], tags=["admin", "backends"]
)
