"""Events that stand in the way of read models, for administrators: shown, tried once more, left out."""

import base64
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct
from psycopg import AsyncConnection

from adapters.http.answers import answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.working import found_or, known, working_state
from commands.projections import SkipEvent, WithdrawSkip
from commands.streams import Context
from domain.ids import Position
from projections import jobs, operating
from projections.operating import ParkedEvent

NOT_PARKED = "This read model is not held up by that event."


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


@get("/parked", responses=answers(200, ParkedPage, 401, 403))
async def show_parked(parts: NamedDependency[Parts], administrator: NamedDependency[Caller]) -> ParkedPage:
    """Events that read models do not take in, and why."""
    async with working_state(parts) as connection:
        return ParkedPage([_about(each) for each in await operating.parked(connection)])


@get("/parked/{name:str}/{position:int}", responses=answers(200, StoredAnswer, 401, 403, 404))
async def show_stored(
    name: FromPath[str],
    position: FromPath[int],
    parts: NamedDependency[Parts],
    administrator: NamedDependency[Caller],
) -> StoredAnswer:
    """One of them, with the bytes that are stored."""
    async with working_state(parts) as connection:
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
    async with working_state(parts) as connection:
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
    async with working_state(parts) as connection:
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
    known(name)
    wish = WithdrawSkip(projection=name, position=Position(position), reason=data.reason)
    accepted = await parts.commands.run(wish, context)
    async with working_state(parts) as connection:
        await jobs.tell(connection, name)
    return Moved(accepted.position)


async def _parked(connection: AsyncConnection[Any], name: str, position: int) -> ParkedEvent:
    found = await operating.parked(connection)
    return found_or(
        next((each for each in found if (each.projection, each.position) == (name, position)), None),
        NOT_PARKED,
    )


def _shown(event: ParkedEvent) -> dict[str, Any]:
    return {name: getattr(event, name) for name in ParkedAnswer.__struct_fields__}


def _about(event: ParkedEvent) -> ParkedAnswer:
    return ParkedAnswer(**_shown(event))


def _text(stored: bytes) -> str | None:
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return None


ROUTER = Router(
    "/admin",
    route_handlers=[show_parked, show_stored, retry, skip, withdraw],
    tags=["admin"],
)
