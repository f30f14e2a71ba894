"""What webhooks were sent and are to be sent: the log of deliveries, tests, and sending again."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeAlias
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from adapters.http.answers import Cursor, answers
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.webhooks import Types
from commands.streams import Context
from commands.webhook_state import Delivery, DeliveryState, Replay
from commands.webhooks import ReplayRange, SendAgain, TryWebhook, owned
from domain.ids import Position
from domain.refusals import FieldError, Invalid
from projections.paging import bounded, timed
from services.telling import message_id

InState: TypeAlias = Annotated[str | None, QueryParameter(name="state", description="Only these.")]
Place = Annotated[
    int | datetime,
    Meta(
        description="A position in the log, or a time with its zone.", examples=[1200, "2026-01-31T12:00:00Z"]
    ),
]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ReplayBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What lies behind `after`, up to and with `until`; left out: up to now."""

    after: Place
    until: Place | None = None
    types: Types = ()


class DeliveryAnswer(Struct):
    """`position` 0: a test."""

    id: UUID
    webhook: UUID
    webhook_id: Annotated[str, Meta(description="The header `webhook-id`: the same for every attempt.")]
    position: int
    type: str
    state: DeliveryState
    attempts: int
    status: Annotated[int | None, Meta(description="Of the last attempt; null: there was no answer.")]
    answer: Annotated[str | None, Meta(description="The first 1024 bytes of it.")]
    error: str | None
    duration_ms: int | None
    made_at: datetime
    first_attempt_at: datetime | None
    last_attempt_at: datetime | None
    next_at: Annotated[datetime | None, Meta(description="When it is sent next, if its turn has come.")]
    ended_at: datetime | None


class DeliveryPage(Struct):
    items: list[DeliveryAnswer]
    next_cursor: Cursor


class Sending(Struct):
    """It is sent as soon as its turn comes; the log of deliveries tells."""

    delivery: UUID


class Replaying(Struct):
    """The events behind `after`, up to and with `until`, are sent as their turn comes."""

    replay: UUID
    after: int
    until: int


@post("/webhooks/{webhook:uuid}/test", status_code=202, responses=answers(202, Sending, 401, 404, 429))
async def try_out(
    webhook: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Sending:
    """Send an event of type `webhook.test.v1` now, once, also while the webhook is not active."""
    return Sending(await parts.commands.run(TryWebhook(by=caller.account, webhook=webhook), context))


@get("/webhooks/{webhook:uuid}/deliveries", responses=answers(200, DeliveryPage, 401, 404, 422))
async def deliveries(
    webhook: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
    wanted: InState = None,
) -> DeliveryPage:
    """What was sent and what is to be, the newest first; kept for 30 days after its end.

    `state`: waiting, delivered, failed (given up), skipped (the webhook was paused or disabled before).
    """
    needs, limit = parts.commands.needs, bounded(limit)
    await owned(webhook, caller.account, needs)
    found = await needs.webhooks.deliveries(
        webhook, state=_state(wanted), before=timed(cursor), limit=limit + 1
    )
    last = found[limit - 1] if len(found) > limit else None
    return DeliveryPage(
        [_delivery(webhook, each) for each in found[:limit]], None if last is None else _cursor(last)
    )


@post(
    "/webhooks/{webhook:uuid}/deliveries/{delivery:uuid}/replay",
    status_code=202,
    responses=answers(202, Sending, 401, 404, 409),
)
async def send_again(
    webhook: FromPath[UUID],
    delivery: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Sending:
    """Send one event once more, under the same `webhook-id`."""
    wish = SendAgain(by=caller.account, webhook=webhook, delivery=delivery)
    return Sending(await parts.commands.run(wish, context))


@post(
    "/webhooks/{webhook:uuid}/replay",
    dto=StrictBody[ReplayBody],
    return_dto=None,
    status_code=202,
    responses=answers(202, Replaying, 401, 404, 409, 413, 415, 422),
)
async def replay(
    webhook: FromPath[UUID],
    data: JSONBody[ReplayBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Replaying:
    """Send a range of the log once more, also what happened before the webhook was made. One range at a time."""
    wish = ReplayRange(
        by=caller.account,
        webhook=webhook,
        after=_place("after", data.after),
        until=None if data.until is None else _place("until", data.until),
        types=data.types,
    )
    begun: Replay = await parts.commands.run(wish, context)
    return Replaying(begun.id, begun.after, begun.until)


def _delivery(webhook: UUID, delivery: Delivery) -> DeliveryAnswer:
    return DeliveryAnswer(
        id=delivery.id,
        webhook=webhook,
        webhook_id=message_id(delivery.log, delivery.id, delivery.position),
        position=delivery.position,
        type=delivery.type,
        state=delivery.state,
        attempts=delivery.attempts,
        status=delivery.status,
        answer=delivery.answer,
        error=delivery.error or None,
        duration_ms=delivery.duration_ms,
        made_at=delivery.made_at,
        first_attempt_at=delivery.first_attempt_at,
        last_attempt_at=delivery.last_attempt_at,
        next_at=delivery.next_at,
        ended_at=delivery.ended_at,
    )


def _state(state: str | None) -> DeliveryState | None:
    if state is None:
        return None
    try:
        return DeliveryState(state)
    except ValueError as error:
        raise Invalid(
            "There is no such state.", FieldError("state", f"One of: {', '.join(DeliveryState)}.")
        ) from error


def _cursor(last: Delivery) -> str:
    """Read by `timed`."""
    return f"{(last.made_at - EPOCH) // timedelta(microseconds=1)}.{last.id}"


def _place(field: str, place: int | datetime) -> Position | datetime:
    if isinstance(place, datetime):
        if place.tzinfo is None:
            raise Invalid("The time has no zone.", FieldError(field, "Write it as 2026-01-31T12:00:00Z."))
        return place
    if not 0 <= place < 2**63:
        raise Invalid("There is no such position.", FieldError(field, "A position is 0 or more."))
    return Position(place)


ROUTER = Router("/", route_handlers=[deliveries, try_out, send_again, replay], tags=["webhooks"])
