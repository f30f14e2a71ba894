"""Read models for administrators: how they are, built anew, led back. What stands in their way: parked.py."""

import hashlib
from typing import Any
from uuid import UUID, uuid5

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from msgspec import Struct
from psycopg import AsyncConnection

from adapters.http.answers import answers
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.working import found_or, known, working_state
from commands.ports import KeyReused
from commands.streams import Context
from domain.refusals import Conflict
from projections import generations, jobs, operating
from projections.catalogue import PROJECTIONS
from projections.jobs import Job, JobState, Kind, OpenJobError, Request, RequestReusedError
from projections.operating import Overview
from projections.paging import bounded
from projections.rollback import NotKeptError, usable
from projections.skips import skipped

NO_JOB = "There is no such rebuild."


class Overviews(Struct):
    items: list[Overview]


class JobPage(Struct):
    items: list[Job]


@get("/projections", responses=answers(200, Overviews, 401, 403))
async def show_all(parts: NamedDependency[Parts], administrator: NamedDependency[Caller]) -> Overviews:
    """Every read model: position, lag, version, state, size, its builds, and what is being done about it."""
    async with working_state(parts) as connection:
        return Overviews(await operating.overview(connection, PROJECTIONS))


@get("/projections/{name:str}", responses=answers(200, Overview, 401, 403, 404))
async def show(
    name: FromPath[str], parts: NamedDependency[Parts], administrator: NamedDependency[Caller]
) -> Overview:
    """One read model."""
    known(name)
    async with working_state(parts) as connection:
        found = await operating.overview(connection, {name: PROJECTIONS[name]})
    return found[0]


@post("/projections/rebuild", status_code=202, responses=answers(202, JobPage, 401, 403, 409))
async def rebuild_all(
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> JobPage:
    """Build every read model anew beside the live one, one after the other. Those under way already stay so."""
    items = []
    async with working_state(parts) as connection:
        for name in PROJECTIONS:
            try:
                items.append(await _ask(connection, name, Kind.REBUILD, context))
            except OpenJobError as error:
                items.append(error.job)
    return JobPage(items)


@post("/projections/{name:str}/rebuild", status_code=202, responses=answers(202, Job, 401, 403, 404, 409))
async def rebuild(
    name: FromPath[str],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Job:
    """Build a read model anew beside the live one and swap. 202: look how far it is at `/admin/rebuilds/{id}`."""
    known(name)
    async with working_state(parts) as connection:
        try:
            return await _ask(connection, name, Kind.REBUILD, context)
        except OpenJobError as error:
            raise Conflict(str(error)) from error


@post("/projections/{name:str}/rollback", status_code=202, responses=answers(202, Job, 401, 403, 404, 409))
async def rollback(
    name: FromPath[str],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Job:
    """Lead readers back to the build before the live one, once it is up to date. 409 when none is kept."""
    known(name)
    async with working_state(parts) as connection:
        try:
            job = await _ask(connection, name, Kind.ROLLBACK, context, check=True)
        except (OpenJobError, NotKeptError) as error:
            raise Conflict(str(error)) from error
    return job


@get("/rebuilds", responses=answers(200, JobPage, 401, 403, 422))
async def show_jobs(
    parts: NamedDependency[Parts], administrator: NamedDependency[Caller], limit: FromQuery[int] = 20
) -> JobPage:
    """The rebuilds and rollbacks last asked for, the newest first."""
    wanted = bounded(limit)
    async with working_state(parts) as connection:
        return JobPage(await jobs.recent(connection, wanted))


@get("/rebuilds/{rebuild:uuid}", responses=answers(200, Job, 401, 403, 404))
async def show_job(
    rebuild: FromPath[UUID], parts: NamedDependency[Parts], administrator: NamedDependency[Caller]
) -> Job:
    """How far a rebuild is: events done, of how many, events a second, seconds left; or how it ended."""
    async with working_state(parts) as connection:
        return found_or(await jobs.job(connection, rebuild), NO_JOB)


@post("/rebuilds/{rebuild:uuid}/cancel", status_code=202, responses=answers(202, Job, 401, 403, 404, 409))
async def cancel(
    rebuild: FromPath[UUID],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Job:
    """Stop it; the live build stays as it is. 409 when it is over."""
    async with working_state(parts) as connection:
        found = await jobs.cancel(connection, rebuild)
        if found is None:
            found = found_or(await jobs.job(connection, rebuild), NO_JOB)
            if found.state != JobState.CANCELLED:
                raise Conflict(f"This {found.kind} is over: {found.state}.")
        return found


async def _ask(
    connection: AsyncConnection[Any], name: str, kind: Kind, context: Context, *, check: bool = False
) -> Job:
    request = None
    if (key := context.key) is not None:
        known = hashlib.sha256(f"{key.actor}\0{key.key}".encode()).digest()[:16]
        request = Request(uuid5(UUID(bytes=known), name), key.request_hash)
    try:
        if request is not None and (job := await jobs.answered(connection, request)) is not None:
            return job
        if check:
            build = await generations.kept(connection, name)
            usable(PROJECTIONS[name], build, await skipped(connection, name))
        return await jobs.ask(connection, name, kind, context.actor, request)
    except RequestReusedError as error:
        raise KeyReused("This Idempotency-Key was used for another request before.") from error


ROUTER = Router(
    "/admin",
    route_handlers=[show_all, show, rebuild_all, rebuild, rollback, show_jobs, show_job, cancel],
    tags=["admin"],
)
