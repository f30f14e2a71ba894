"""Batches: runs that were submitted together, watched, compared and cancelled as one."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from msgspec import Meta, Struct

from adapters.http.answers import answers
from adapters.http.auth import Moved
from adapters.http.callers import Caller
from adapters.http.outputs import with_urls
from adapters.http.parts import Parts
from adapters.http.rates import rate_limits
from adapters.http.reads import Reader, json_response
from adapters.http.run_answers import BatchAnswer, BatchPage
from commands.batches import CancelBatch, SubmittedBatch
from commands.streams import Context
from domain.ids import BatchId, Position, RunId
from projections import run_status

NO_BATCH = "There is no such batch."
SHOWN = ("queued", "running", "succeeded", "failed", "cancelled")


class AcceptedBatch(Struct, frozen=True):
    """All runs are queued. `position` is the last one's place in the log."""

    id: BatchId
    runs: Annotated[tuple[RunId, ...], Meta(description="In the order they were asked for.")]
    status_url: str
    cancel_url: str
    position: Position


def accepted_batch(submitted: SubmittedBatch, parts: Parts) -> Response[AcceptedBatch]:
    url = f"{parts.public_url}/api/v1/batches/{submitted.id}"
    accepted = AcceptedBatch(submitted.id, submitted.runs, url, f"{url}/cancel", submitted.position)
    return Response(accepted, status_code=202, headers={"Location": url, **rate_limits(submitted.left)})


@get("/batches", responses=answers(200, BatchPage, 401, 422))
async def mine(
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Your batches, the newest first, and how far they are."""
    return await reader.page(run_status.own_batches, caller.account, limit=limit, cursor=cursor)


@get("/batches/{batch:uuid}", responses=answers(200, BatchAnswer, 401, 404, 422))
async def show(
    batch: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
) -> Response[bytes]:
    """All runs of a batch with what was varied and what came of it; `groups` has them side by side, by value."""
    row: dict[str, Any] = msgspec.json.decode(await reader.one(run_status.batch, batch, missing=NO_BATCH))
    body = await parts.commands.needs.contents.get(row.pop("plan"))
    plan: list[dict[str, Any]] = msgspec.json.decode(body) if body is not None else []
    for run in row["runs"]:
        run["varied"] = plan[run["place"]] if run["place"] < len(plan) else {}
        with_urls(run, parts)
    row["progress"] = {status: sum(run["status"] == status for run in row["runs"]) for status in SHOWN}
    row["groups"] = _groups(row["varied"], row["runs"])
    return json_response(msgspec.json.encode(row))


@post("/batches/{batch:uuid}/cancel", status_code=202, responses=answers(202, Moved, 401, 404))
async def cancel(
    batch: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Stop every run of the batch that is not over. Once it is answered, all of them are."""
    accepted = await parts.commands.run(CancelBatch(by=caller.account, batch=BatchId(batch)), context)
    return Moved(accepted.position)


def _groups(varied: list[str], runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each varied parameter and each of its values, the runs that had it."""
    groups: list[dict[str, Any]] = []
    for name in varied:
        values: list[Any] = []
        members: list[list[str]] = []
        for run in runs:
            value = run["varied"].get(name)
            if value not in values:
                values.append(value)
                members.append([])
            members[values.index(value)].append(run["id"])
        groups += [
            {"parameter": name, "value": value, "runs": found}
            for value, found in zip(values, members, strict=True)
        ]
    return groups


ROUTER = Router("/", route_handlers=[mine, show, cancel], tags=["runs"])
