"""All that ever happened, for administrators: looked for, and followed from cause to effect.

What is personal in events stays sealed here too.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from msgspec import Meta, Struct

from adapters.http.answers import Cursor, answers
from adapters.http.filters import From, To, instant
from adapters.http.reads import Reader, json_response
from projections import audit_trail
from projections.audit_trail import EventFilters


class LoggedEvent(Struct):
    """`version`: its place in its stream. `causation`: the position of what it followed from. `data`: its fields."""

    position: int
    stream: UUID
    kind: str
    topic: str
    version: int
    owner: UUID | None
    actor: str
    at: datetime
    correlation: UUID
    causation: int | None
    data: dict[str, Any]  # of whatever event it is


class LoggedPage(Struct):
    items: list[LoggedEvent]
    next_cursor: Cursor


class FollowedEvent(Struct):
    """`causes`: what it followed from, the first first. `effects`: what followed from it. `together`: all that came of
    the same request, 500 at most."""

    event: LoggedEvent
    causes: list[LoggedEvent]
    effects: list[LoggedEvent]
    together: list[LoggedEvent]


@get("/", responses=answers(200, LoggedPage, 401, 403, 422))
async def browse(
    overseer: NamedDependency[Reader],
    topic: Annotated[FromQuery[str | None], Meta(description="As `run.submitted.v1`.")] = None,
    kind: Annotated[FromQuery[str | None], Meta(description="As `run`.")] = None,
    stream: Annotated[FromQuery[UUID | None], Meta(description="Of one thing, by its id.")] = None,
    account: Annotated[FromQuery[UUID | None], Meta(description="Of somebody's things.")] = None,
    actor: Annotated[
        FromQuery[str | None], Meta(description="Who did it: an account's id or a service.")
    ] = None,
    correlation: Annotated[FromQuery[UUID | None], Meta(description="Of what came of one request.")] = None,
    after: Annotated[FromQuery[int | None], Meta(description="Behind this position.")] = None,
    before: Annotated[FromQuery[int | None], Meta(description="In front of this position.")] = None,
    first: From = None,
    last: To = None,
    sort: FromQuery[Literal["newest", "oldest"]] = "newest",
    limit: FromQuery[int] = 50,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Events of the whole log. A page looks at 5,000 of them at most for `topic`, `kind`, `account` and `actor`: it may
    hold fewer than `limit`, even none, and still have a `next_cursor`."""
    filters = EventFilters(
        topic=topic,
        kind=kind,
        stream=stream,
        owner=account,
        actor=actor,
        correlation=correlation,
        after=after,
        before=before,
        since=instant("from", first),
        until=instant("to", last),
    )
    return await overseer.page(
        audit_trail.events, limit=limit, cursor=cursor, filters=filters, oldest_first=sort == "oldest"
    )


@get("/{position:int}", responses=answers(200, FollowedEvent, 401, 403, 404))
async def follow(position: FromPath[int], overseer: NamedDependency[Reader]) -> Response[bytes]:
    """One event, what caused it, what it caused, and all that came of the same request."""
    return json_response(
        await overseer.one(audit_trail.event, position, missing="There is no such position in the log.")
    )


ROUTER = Router("/admin/events", route_handlers=[browse, follow], tags=["admin"])
