"""Pools, for administrators: in which order they are served, who may name them, and whose runs wait there anyway."""

from typing import Annotated
from uuid import UUID

from litestar import Router, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import answers
from adapters.http.audiences import AudienceAnswer, For, shown_audience
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.queue import Limit, Reason
from commands.queue import AssignPool, SetPool
from commands.streams import Context
from domain.ids import AccountId, queue_id
from domain.queue import QUEUE, PoolSettings


class AdminPool(Struct, kw_only=True):
    """As it is set up. `audience` null: everybody may name it. `accounts`: whose runs wait there that name none."""

    name: str
    rank: int
    running: int | None
    queued: int | None
    paused: bool
    audience: AudienceAnswer | None
    accounts: list[UUID]


class AdminPoolList(Struct):
    items: list[AdminPool]


class PoolBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is left out is not limited, and whom `audience` does not name may not name the pool."""

    reason: Reason
    rank: Annotated[int, Meta(ge=-1_000, le=1_000, examples=[1])] = 0
    running: Limit | None = None
    queued: Limit | None = None
    audience: For | None = None


class AssignBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """null: everybody's pool."""

    pool: Annotated[str, Meta(min_length=1, max_length=64, examples=["studio"])] | None
    reason: Reason


@get("/admin/pools", responses=answers(200, AdminPoolList, 401, 403))
async def show(parts: NamedDependency[Parts], administrator: NamedDependency[Caller]) -> AdminPoolList:
    """The pools that administrators have set up, paused, or given to accounts."""
    queue, _ = await parts.commands.needs.streams.load(QUEUE, queue_id())
    names = sorted({*queue.pools, *queue.assigned.values(), *filter(None, queue.paused)})
    return AdminPoolList(
        [
            AdminPool(
                name=name,
                rank=settings.rank,
                running=settings.running,
                queued=settings.queued,
                paused=name in queue.paused,
                audience=shown_audience(settings.audience),
                accounts=sorted(account for account, pool in queue.assigned.items() if pool == name),
            )
            for name in names
            for settings in (queue.pools.get(name, PoolSettings()),)
        ]
    )


@put(
    "/admin/pools/{name:str}",
    dto=StrictBody[PoolBody],
    return_dto=None,
    status_code=202,
    responses=answers(202, Moved, 401, 403, 404, 409, 415, 422),
)
async def set_pool(
    name: FromPath[str],
    data: JSONBody[PoolBody],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Say how a pool is served, how many of its runs may wait or be under way, and who may name it for runs.

    Runs that wait already stay there.
    """
    settings = PoolSettings(rank=data.rank, running=data.running, queued=data.queued)
    wish = SetPool(pool=name, settings=settings, audience=data.audience, reason=data.reason)
    return Moved((await parts.commands.run(wish, context)).position)


@put(
    "/admin/accounts/{account:uuid}/pool",
    dto=StrictBody[AssignBody],
    return_dto=None,
    status_code=202,
    responses=answers(202, Moved, 401, 403, 404, 409, 415, 422),
)
async def assign(
    account: FromPath[UUID],
    data: JSONBody[AssignBody],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Say in which pool an account's runs wait that name none. It may use that one, whoever else may not."""
    wish = AssignPool(account=AccountId(account), pool=data.pool, reason=data.reason)
    return Moved((await parts.commands.run(wish, context)).position)


ADMIN = Router("/", route_handlers=[show, set_pool, assign], tags=["admin"])
