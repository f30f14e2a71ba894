"""Runs: submitted, watched, cancelled, and what they produced."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.http.answers import HistoryPage, answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.filters import From, To, instant
from adapters.http.outputs import thumbnail_urls, with_urls
from adapters.http.parts import Parts
from adapters.http.past import AsOf, past_run
from adapters.http.rates import rate_limits
from adapters.http.reads import Reader, json_response
from adapters.http.renditions import OwnRendition, chosen
from adapters.http.run_answers import RunAnswer, RunPage
from adapters.http.sources import with_source
from adapters.http.versions import Graph
from commands.gate import refuses
from commands.generating import Rerun, RunGraph
from commands.runs import CancelRun, DeleteRun, SubmitRun, Submitted
from commands.streams import Context
from domain.ids import Position, RunId, WorkflowId
from domain.refusals import FieldError, Invalid
from domain.run import RUN, RunSubmitted, Status
from projections import run_status
from projections.run_pages import RunFilters

Priority = Annotated[int, Meta(ge=1, le=10, description="1 to 10; 10 first.", examples=[5])]
Version = Annotated[int, Meta(ge=1, description="Which version; left out: the newest.", examples=[1])]
Pool = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        description="The pool that it waits in; left out: the one that your account has.",
        examples=["shared"],
    ),
]
Environment = Annotated[str, Meta(description="A name that stands for a version, such as `production`.")]
EITHER = "Name a version or an environment, not both."
NO_RUN = "There is no such run."
PAUSED = "The queue is paused:"
NOBODY_THERE = "No ComfyUI is connected at the moment. The run starts by itself when one is."


class SubmitBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`environment`: the version that this name stands for, in place of a number."""

    version: Version | None = None
    environment: Environment | None = None
    priority: Priority = 5
    pool: Pool | None = None
    rendition: OwnRendition = None


class Accepted(Struct, frozen=True):
    """The run is queued. `position` is its place in the log."""

    id: RunId
    status_url: str
    cancel_url: str
    live_url: str
    position: Position


class GraphBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    graph: Graph
    priority: Priority = 5
    pool: Pool | None = None
    rendition: OwnRendition = None


class RerunBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is left out stays as it was."""

    seed: Annotated[int, Meta(description="-1: any.", examples=[-1])] | UnsetType = UNSET
    parameters: (
        Annotated[
            dict[str, Any],
            Meta(description="Of a run that was made from parameters: those to change.", examples=[{}]),
        ]
        | UnsetType
    ) = UNSET
    priority: Priority | UnsetType = UNSET
    pool: Pool | UnsetType = UNSET
    rendition: OwnRendition = None


def accepted_run(submitted: Submitted, parts: Parts) -> Response[Accepted]:
    url = f"{parts.public_url}/api/v1/runs/{submitted.id}"
    accepted = Accepted(submitted.id, url, f"{url}/cancel", f"{url}/live", submitted.position)
    return Response(accepted, status_code=202, headers={"Location": url, **rate_limits(submitted.left)})


@post(
    "/workflows/{workflow:uuid}/runs",
    dto=StrictBody[SubmitBody],
    return_dto=None,
    status_code=202,
    responses=answers(202, Accepted, 401, 404, 409, 415, 422, 429),
)
async def submit(
    workflow: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    data: JSONBody[SubmitBody] = SubmitBody(),
) -> Response[Accepted]:
    """Run a workflow of your own, or a public one. With no ComfyUI at hand the run waits, and says so."""
    if data.version is not None and data.environment is not None:
        raise Invalid(EITHER, FieldError("environment", EITHER))
    submitted: Submitted = await parts.commands.run(
        SubmitRun(
            by=caller.account,
            workflow=WorkflowId(workflow),
            version=data.version,
            environment=data.environment,
            priority=data.priority,
            pool=data.pool,
            rendition=chosen(data.rendition),
        ),
        context,
    )
    return accepted_run(submitted, parts)


@post(
    "/runs",
    dto=StrictBody[GraphBody],
    return_dto=None,
    status_code=202,
    responses=answers(202, Accepted, 401, 409, 413, 415, 422, 429),
)
async def run_graph(
    data: JSONBody[GraphBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Response[Accepted]:
    """Run a graph in API format once, without keeping it as a workflow."""
    wish = RunGraph(
        by=caller.account,
        graph=data.graph,
        priority=data.priority,
        pool=data.pool,
        rendition=chosen(data.rendition),
    )
    submitted: Submitted = await parts.commands.run(wish, context)
    return accepted_run(submitted, parts)


@get("/runs", responses=answers(200, RunPage, 401, 422))
async def mine(
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
    status: FromQuery[str | None] = None,
    workflow: FromQuery[UUID | None] = None,
    template: FromQuery[str | None] = None,
    backend: FromQuery[str | None] = None,
    lora: FromQuery[str | None] = None,
    model: FromQuery[str | None] = None,
    starred: FromQuery[bool | None] = None,
    q: FromQuery[str | None] = None,
    since: From = None,
    until: To = None,
) -> Response[bytes]:
    """Your runs, the newest first, with some thumbnails. All that is asked for has to hold.

    `lora`, `model`: the name of a file that its graph names, with or without its folder. `starred`: whether one of its
    outputs is. `q`: words of the prompt, or of other texts, that it was made from.
    """
    filters = RunFilters(
        status=status,
        workflow=workflow,
        template=template,
        backend=backend,
        lora=lora,
        model=model,
        starred=starred,
        q=q,
        since=instant("from", since),
        until=instant("to", until),
    )
    found = await reader.ask(run_status.own_runs, caller.account, limit=limit, after=cursor, filters=filters)
    page = msgspec.json.decode(found)
    for each in page["items"]:
        thumbnail_urls(each, parts)
    return json_response(msgspec.json.encode(page))


@get("/runs/{run:uuid}", responses=answers(200, RunAnswer, 401, 404, 422))
async def show(
    run: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    as_of: AsOf = None,
) -> Response[bytes]:
    """How a run is doing, with its outputs so far or the reason why it failed.

    With `as_of`, as it was at a position of the log (`1234`), at a time (`2026-11-21T12:00:00Z`) or after so many
    of its own events (`v3`); 404 before it existed.
    """
    if as_of is not None:
        return await past_run(run, as_of, parts, caller.account)
    row: dict[str, Any] = msgspec.json.decode(await reader.one(run_status.run, run, missing=NO_RUN))
    if row["status"] == Status.QUEUED:
        await _tell_place(row, caller, parts, reader)
    return json_response(msgspec.json.encode(with_urls(await with_source(row, parts), parts)))


@post(
    "/runs/{run:uuid}/rerun",
    dto=StrictBody[RerunBody],
    return_dto=None,
    status_code=202,
    responses=answers(202, Accepted, 401, 404, 409, 415, 422, 429),
)
async def run_again(
    run: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    data: JSONBody[RerunBody] = RerunBody(),
) -> Response[Accepted]:
    """Execute once more what a run of yours executed: the very same, or with another seed, priority or parameters.

    A new seed replaces every seed in a graph; 422 where it has none.
    """
    submitted: Submitted = await parts.commands.run(
        Rerun(
            by=caller.account,
            run=RunId(run),
            changes=None if data.parameters is UNSET else data.parameters,
            seed=None if data.seed is UNSET else data.seed,
            priority=None if data.priority is UNSET else data.priority,
            pool=None if data.pool is UNSET else data.pool,
            rendition=chosen(data.rendition),
        ),
        context,
    )
    return accepted_run(submitted, parts)


@delete("/runs/{run:uuid}", status_code=200, responses=answers(200, Moved, 401, 404, 409))
async def remove(
    run: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Put a run that is over out of sight. Its outputs go where nothing else needs them; its history stays."""
    accepted = await parts.commands.run(DeleteRun(by=caller.account, run=RunId(run)), context)
    return Moved(accepted.position)


@post("/runs/{run:uuid}/cancel", status_code=202, responses=answers(202, Moved, 401, 404, 409))
async def cancel(
    run: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Stop a run. 202: the view catches up at `position`. 404 unknown, 409 already over."""
    accepted = await parts.commands.run(CancelRun(by=caller.account, run=RunId(run)), context)
    return Moved(accepted.position)


@get("/runs/{run:uuid}/history", responses=answers(200, HistoryPage, 401, 404, 422))
async def history(
    run: FromPath[UUID],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 100,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Everything that happened to your run, in order: who, when, where, and why."""
    return await reader.history(run, RUN.kind, limit=limit, cursor=cursor, missing=NO_RUN)


async def _waiting_for(id: RunId, caller: Caller, parts: Parts, reader: Reader) -> str | None:
    """Why nothing happens with it: nobody is there, or whoever is there cannot run it. None: its turn will come."""
    if not await reader.ask(run_status.live_backends):
        return NOBODY_THERE
    recorded = await parts.log.read(id)
    if not recorded or not isinstance(recorded[0].event, RunSubmitted):
        return None
    view = await parts.commands.needs.backends.now()
    needed, pool = recorded[0].event.requirements, recorded[0].event.pool
    reasons = {
        each.state.name: refuses(each, needed, view.rules)
        for each in view.backends
        if each.serves(caller.account, pool)
    }
    if not reasons:
        return f"No backend serves the pool {pool} at the moment."
    if not all(reasons.values()):
        return None
    return " ".join(f"{name}: {reason}" for name, reason in list(reasons.items())[:10])


async def _tell_place(row: dict[str, Any], caller: Caller, parts: Parts, reader: Reader) -> None:
    """Where a queued run stands, and what it waits for but its turn."""
    run = RunId(UUID(row["id"]))
    place = await parts.queue.place(run)
    if place is not None:
        row["queue_position"] = place.position
        if place.eta_s is not None:
            row["eta_s"] = place.eta_s
    if place is not None and place.paused:
        row["waiting_for"] = f"{PAUSED} {place.paused}"
    elif waits := await _waiting_for(run, caller, parts, reader):
        row["waiting_for"] = waits


ROUTER = Router(
    "/", route_handlers=[submit, run_graph, mine, show, run_again, remove, cancel, history], tags=["runs"]
)
