"""The queue: how it is, for everybody; how it is steered, for administrators."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from litestar import Router, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from adapters.http.answers import Cursor, answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from commands.queue import CleanQueue, PauseQueue, ResumeQueue, ReviveRun, SetLimits
from commands.streams import Context
from domain.ids import AccountId, Position, RunId, queue_id
from domain.limits import Allowance
from domain.outcome import Failure
from domain.queue import EVERYTHING, CleaningFinished, QueueCleaned
from domain.refusals import NotFound
from projections.paging import bounded, timed
from services.ports.queueing import DeadRun

Reason = Annotated[str, Meta(description="For those who read the log later.", examples=["New cards."])]
Pool = Annotated[str, Meta(description="Left out: all of them.", examples=["shared"])]
Limit = Annotated[int, Meta(ge=0, examples=[100])]


class PoolAnswer(Struct):
    """`completed`, `failed`, `cancelled`: since the beginning. `run_s`: what a run takes lately."""

    name: str
    rank: Annotated[int, Meta(description="Pools with a higher one are served first.")]
    paused: bool
    active: int
    waiting: int
    completed: int
    failed: int
    cancelled: int
    oldest_wait_s: float | None
    run_s: float | None


class StatsAnswer(Struct):
    """Of all pools together, and of each."""

    paused: Annotated[bool, Meta(description="Nothing is claimed at the moment, from no pool.")]
    active: int
    waiting: int
    completed: int
    failed: int
    cancelled: int
    oldest_wait_s: float | None
    pools: list[PoolAnswer]


class SteerBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    reason: Reason
    pool: Pool = EVERYTHING


class LimitsBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is left out is as for all. A day is one of UTC."""

    reason: Reason
    weight: Annotated[float, Meta(description="2: twice as much service as others.", examples=[1.0])] = 1.0
    running: Limit | None = None
    queued: Limit | None = None
    runs_per_day: Limit | None = None
    run_s_per_day: Limit | None = None


class CleanBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    reason: Reason
    older_than_s: Annotated[
        int, Meta(ge=0, le=100 * 366 * 86_400, description="Over for so long.", examples=[30 * 86_400])
    ]
    states: Annotated[
        tuple[Literal["succeeded", "failed", "cancelled"], ...], Meta(min_length=1, max_length=3)
    ] = ("succeeded", "failed", "cancelled")


class ReasonBody(Struct, frozen=True, forbid_unknown_fields=True):
    reason: Reason


class CleaningAnswer(Struct, kw_only=True):
    """`runs` and their `outputs`: what was put away; null until it is done."""

    position: Annotated[Position, Meta(description="Where it was asked for.")]
    done: bool
    runs: int | None
    outputs: int | None


class CleaningAccepted(Struct):
    """At `status_url` it is told when it is done, and how much was put away."""

    position: Position
    status_url: str


class DeadAnswer(Struct):
    run: UUID
    owner: UUID
    pool: str
    attempts: int
    failed_at: datetime
    failure: Failure


class DeadPage(Struct):
    items: list[DeadAnswer]
    next_cursor: Cursor


@get("/queue/stats", responses=answers(200, StatsAnswer, 401))
async def stats(parts: NamedDependency[Parts], caller: NamedDependency[Caller]) -> StatsAnswer:
    """How much is under way, how much waits and for how long, and how runs have ended. Up to a second old."""
    found = await parts.queue.stats()
    pools = found.pools
    waits = [pool.oldest_wait_s for pool in pools if pool.oldest_wait_s is not None]
    return StatsAnswer(
        paused=found.paused,
        active=sum(pool.active for pool in pools),
        waiting=sum(pool.waiting for pool in pools),
        completed=sum(pool.completed for pool in pools),
        failed=sum(pool.failed for pool in pools),
        cancelled=sum(pool.cancelled for pool in pools),
        oldest_wait_s=max(waits, default=None),
        pools=[PoolAnswer(*(getattr(pool, name) for name in PoolAnswer.__struct_fields__)) for pool in pools],
    )


@post(
    "/admin/queue/pause",
    dto=StrictBody[SteerBody],
    return_dto=None,
    status_code=202,
    responses=answers(202, Moved, 401, 403, 409, 415, 422),
)
async def pause(
    data: JSONBody[SteerBody],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Let nothing more be claimed, from one pool or from all. What is under way goes on; new runs are taken in."""
    accepted = await parts.commands.run(PauseQueue(pool=data.pool, reason=data.reason), context)
    return Moved(accepted.position)


@post(
    "/admin/queue/resume",
    dto=StrictBody[SteerBody],
    return_dto=None,
    status_code=202,
    responses=answers(202, Moved, 401, 403, 409, 415, 422),
)
async def resume(
    data: JSONBody[SteerBody],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Go on. A pool that was paused by itself is resumed by itself."""
    accepted = await parts.commands.run(ResumeQueue(pool=data.pool, reason=data.reason), context)
    return Moved(accepted.position)


@put(
    "/admin/accounts/{account:uuid}/limits",
    dto=StrictBody[LimitsBody],
    return_dto=None,
    status_code=202,
    responses=answers(202, Moved, 401, 403, 404, 409, 415, 422),
)
async def set_limits(
    account: FromPath[UUID],
    data: JSONBody[LimitsBody],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Give an account other limits than all have, and another weight beside others."""
    allowance = Allowance(**{name: getattr(data, name) for name in Allowance.__struct_fields__})
    wish = SetLimits(account=AccountId(account), limits=allowance, weight=data.weight, reason=data.reason)
    accepted = await parts.commands.run(wish, context)
    return Moved(accepted.position)


@post(
    "/queue/clean",
    dto=StrictBody[CleanBody],
    return_dto=None,
    status_code=202,
    responses=answers(202, CleaningAccepted, 401, 403, 409, 415, 422),
)
async def clean(
    data: JSONBody[CleanBody],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> CleaningAccepted:
    """Put old runs away, everybody's, with their files. 202: it is done in the background, with an event for each run.

    What happened to them stays in the log.
    """
    wish = CleanQueue(states=data.states, older_than_s=data.older_than_s, reason=data.reason)
    position = (await parts.commands.run(wish, context)).position
    return CleaningAccepted(position, f"{parts.public_url}/api/v1/queue/clean/{position}")


@get("/queue/clean/{position:int}", responses=answers(200, CleaningAnswer, 401, 403, 404))
async def cleaning(
    position: FromPath[int], parts: NamedDependency[Parts], administrator: NamedDependency[Caller]
) -> CleaningAnswer:
    """What came of a cleaning: how many runs were put away, and how many outputs they had."""
    asked = await parts.log.at(Position(position)) if 0 < position < 2**63 else None
    if asked is None or not isinstance(asked.event, QueueCleaned):
        raise NotFound("There is no such cleaning.")
    finished = next((each for each in await _cleanings(parts) if each.cleaned == position), None)
    return CleaningAnswer(
        position=Position(position),
        done=finished is not None,
        runs=finished.runs if finished else None,
        outputs=finished.outputs if finished else None,
    )


@get("/admin/dead-letters", responses=answers(200, DeadPage, 401, 403, 422))
async def dead_letters(
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> DeadPage:
    """Runs that failed for want of a machine, after all their retries: lost, cut off, no memory. The newest first."""
    at, id = timed(cursor)
    wanted = bounded(limit)
    found = await parts.queue.dead(wanted + 1, (at, RunId(id)))
    shown = found[:wanted]
    return DeadPage(
        [DeadAnswer(*(getattr(dead, name) for name in DeadAnswer.__struct_fields__)) for dead in shown],
        _place(shown[-1]) if len(found) > wanted else None,
    )


@post(
    "/admin/dead-letters/{run:uuid}/requeue",
    dto=StrictBody[ReasonBody],
    return_dto=None,
    status_code=202,
    responses=answers(202, Moved, 401, 403, 404, 409, 415, 422),
)
async def requeue(
    run: FromPath[UUID],
    data: JSONBody[ReasonBody],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Put such a run back into the queue. It goes on with a new attempt. 409 when it has not failed so."""
    accepted = await parts.commands.run(ReviveRun(run=RunId(run), reason=data.reason), context)
    return Moved(accepted.position)


async def _cleanings(parts: Parts) -> list[CleaningFinished]:
    """All that have come to their end, however long ago."""
    return [
        each.event for each in await parts.log.read(queue_id()) if isinstance(each.event, CleaningFinished)
    ]


def _place(dead: DeadRun) -> str:
    """The cursor behind it."""
    return f"{round(dead.failed_at.timestamp() * 1_000_000)}.{dead.run}"


ROUTER = Router("/", route_handlers=[stats], tags=["queue"])
ADMIN = Router(
    "/", route_handlers=[pause, resume, set_limits, clean, cleaning, dead_letters, requeue], tags=["admin"]
)
