"""Read models for administrators: how they are, built anew, led back, and events that stand in their way."""

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID, uuid5

import psycopg
import psycopg_pool
from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct
from psycopg import AsyncConnection

from adapters.http.answers import answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from commands.ports import KeyReused, LogUnavailableError
from commands.projections import SkipEvent, WithdrawSkip
from commands.streams import Context
from domain.ids import Position
from domain.refusals import Conflict, NotFound
from projections import generations, jobs, operating
from projections.catalogue import PROJECTIONS
from projections.jobs import Job, JobState, Kind, OpenJobError, Request, RequestReusedError
from projections.operating import Overview, ParkedEvent
from projections.paging import bounded
from projections.rollback import NotKeptError, usable
from projections.skips import skipped

T = TypeVar("T")

NO_MODEL = "There is no such read model."
NO_JOB = "There is no such rebuild."
NOT_PARKED = "This read model is not held up by that event."


class Overviews(Struct):
    items: list[Overview]


class JobPage(Struct):
    items: list[Job]


class ParkedAnswer(Struct, kw_only=True):
    """An event that a read model does not take in. `rebuild`: it stopped a new build, the live one goes on."""

    projection: str
    position: int
    reason: str
    rebuild: bool
    topic: str
    stream: UUID
    version: int
    at: datetime
    actor: str


class StoredAnswer(ParkedAnswer):
    """`stored`: the bytes of the log, in base64; `text`: what they say, where they are text."""

    stored: str
    text: str | None


class ParkedPage(Struct):
    items: list[ParkedAnswer]


class ReasonBody(Struct, frozen=True, forbid_unknown_fields=True):
    reason: Annotated[str, Meta(description="Why, for those who read the log later.", examples=["A test's."])]


@get("/projections", responses=answers(200, Overviews, 401, 403))
async def show_all(parts: NamedDependency[Parts], administrator: NamedDependency[Caller]) -> Overviews:
    """Every read model: position, lag, version, state, size, its builds, and what is being done about it."""
    async with _connected(parts) as connection:
        return Overviews(await operating.overview(connection, PROJECTIONS))


@get("/projections/{name:str}", responses=answers(200, Overview, 401, 403, 404))
async def show(
    name: FromPath[str], parts: NamedDependency[Parts], administrator: NamedDependency[Caller]
) -> Overview:
    """One read model."""
    _known(name)
    async with _connected(parts) as connection:
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
    async with _connected(parts) as connection:
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
    _known(name)
    async with _connected(parts) as connection:
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
    _known(name)
    async with _connected(parts) as connection:
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
    async with _connected(parts) as connection:
        return JobPage(await jobs.recent(connection, wanted))


@get("/rebuilds/{rebuild:uuid}", responses=answers(200, Job, 401, 403, 404))
async def show_job(
    rebuild: FromPath[UUID], parts: NamedDependency[Parts], administrator: NamedDependency[Caller]
) -> Job:
    """How far a rebuild is: events done, of how many, events a second, seconds left; or how it ended."""
    async with _connected(parts) as connection:
        return _found(await jobs.job(connection, rebuild), NO_JOB)


@post("/rebuilds/{rebuild:uuid}/cancel", status_code=202, responses=answers(202, Job, 401, 403, 404, 409))
async def cancel(
    rebuild: FromPath[UUID],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Job:
    """Stop it; the live build stays as it is. 409 when it is over."""
    async with _connected(parts) as connection:
        found = await jobs.cancel(connection, rebuild)
        if found is None:
            found = _found(await jobs.job(connection, rebuild), NO_JOB)
            if found.state != JobState.CANCELLED:
                raise Conflict(f"This {found.kind} is over: {found.state}.")
        return found


@get("/parked", responses=answers(200, ParkedPage, 401, 403))
async def show_parked(parts: NamedDependency[Parts], administrator: NamedDependency[Caller]) -> ParkedPage:
    """Events that read models do not take in, and why."""
    async with _connected(parts) as connection:
        return ParkedPage([_about(each) for each in await operating.parked(connection)])


@get("/parked/{name:str}/{position:int}", responses=answers(200, StoredAnswer, 401, 403, 404))
async def show_stored(
    name: FromPath[str],
    position: FromPath[int],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
) -> StoredAnswer:
    """One of them, with the bytes that are stored."""
    async with _connected(parts) as connection:
        event = await _parked(connection, name, position)
    return StoredAnswer(
        **_shown(event), stored=base64.b64encode(event.stored).decode(), text=_text(event.stored)
    )


@post("/parked/{name:str}/{position:int}/retry", status_code=202, responses=answers(202, None, 401, 403, 404))
async def retry(
    name: FromPath[str],
    position: FromPath[int],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> None:
    """Try the event once more, now. By itself that happens every ten seconds."""
    async with _connected(parts) as connection:
        await _parked(connection, name, position)
        await jobs.tell(connection, name)


@post(
    "/parked/{name:str}/{position:int}/skip",
    dto=StrictBody[ReasonBody],
    return_dto=None,
    status_code=202,
    responses=answers(202, Moved, 401, 403, 404, 409, 415, 422),
)
async def skip(
    name: FromPath[str],
    position: FromPath[int],
    data: JSONBody[ReasonBody],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Leave the event out of this read model, now and in every later build. The decision is an event in the log."""
    async with _connected(parts) as connection:
        if (before := await parts.commands.needs.streams.answered(context)) is not None:
            return Moved(before.position)
        event = await _parked(connection, name, position)
        wish = SkipEvent(projection=name, position=Position(position), reason=data.reason, fault=event.reason)
        accepted = await parts.commands.run(wish, context)
        await jobs.tell(connection, name)
    return Moved(accepted.position)


@post(
    "/projections/{name:str}/skipped/{position:int}/withdraw",
    dto=StrictBody[ReasonBody],
    return_dto=None,
    status_code=202,
    responses=answers(202, Moved, 401, 403, 404, 409, 415, 422),
)
async def withdraw(
    name: FromPath[str],
    position: FromPath[int],
    data: JSONBody[ReasonBody],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Take an event in again that was left out. The read model is built anew for it, by itself."""
    _known(name)
    wish = WithdrawSkip(projection=name, position=Position(position), reason=data.reason)
    accepted = await parts.commands.run(wish, context)
    async with _connected(parts) as connection:
        await jobs.tell(connection, name)
    return Moved(accepted.position)


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


async def _parked(connection: AsyncConnection[Any], name: str, position: int) -> ParkedEvent:
    found = await operating.parked(connection)
    return _found(
        next((each for each in found if (each.projection, each.position) == (name, position)), None),
        NOT_PARKED,
    )


def _known(name: str) -> None:
    if name not in PROJECTIONS:
        raise NotFound(NO_MODEL)


def _found(thing: T | None, missing: str) -> T:
    if thing is None:
        raise NotFound(missing)
    return thing


def _shown(event: ParkedEvent) -> dict[str, Any]:
    return {name: getattr(event, name) for name in ParkedAnswer.__struct_fields__}


def _about(event: ParkedEvent) -> ParkedAnswer:
    return ParkedAnswer(**_shown(event))


def _text(stored: bytes) -> str | None:
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return None


@asynccontextmanager
async def _connected(parts: Parts) -> AsyncIterator[AsyncConnection[Any]]:
    """Raises LogUnavailableError."""
    try:
        async with parts.work.connection() as connection:
            yield connection
    except (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout) as error:
        raise LogUnavailableError("The working state cannot be reached.") from error


ROUTER = Router(
    "/admin",
    route_handlers=[
        show_all,
        show,
        rebuild_all,
        rebuild,
        rollback,
        show_jobs,
        show_job,
        cancel,
        show_parked,
        show_stored,
        retry,
        skip,
        withdraw,
    ],
    tags=["admin"],
)
