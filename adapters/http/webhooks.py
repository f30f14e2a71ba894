"""Webhooks: where somebody's events are sent, and what came of it."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.http.answers import Cursor, Revision, answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from commands.streams import Context
from commands.webhook_state import Delivery, DeliveryState, Replay
from commands.webhooks import (
    ChangeWebhook,
    CreateWebhook,
    DeleteWebhook,
    ReplayRange,
    RotateSecret,
    SendAgain,
    TryWebhook,
    owned,
)
from commands.webhooks import Secret as MadeSecret
from domain.ids import Position
from domain.refusals import FieldError, Invalid
from domain.webhook import WEBHOOK, Reason, Webhook
from projections.paging import bounded, timed
from services.telling import message_id

Url = Annotated[str, Meta(description="https:// or http://", examples=["https://example.org/hooks"])]
Types = Annotated[
    tuple[str, ...],
    Meta(
        description="Types of events, or kinds as `run.*`; none: all.",
        examples=[["run.succeeded.v1", "workflow.*"]],
    ),
]
Description = Annotated[str, Meta(examples=["Tells the studio."])]
Everybody = Annotated[
    bool, Meta(description="Send also what everybody is told of others' things: published, withdrawn.")
]
Ordered = Annotated[
    bool,
    Meta(description="One after the other: an event waits until the one before it is delivered or given up."),
]
InState: TypeAlias = Annotated[str | None, QueryParameter(name="state", description="Only these.")]
Place = Annotated[
    int | datetime,
    Meta(
        description="A position in the log, or a time with its zone.", examples=[1200, "2026-01-31T12:00:00Z"]
    ),
]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOTICES = {
    Reason.GONE: "Disabled: the address answered 410 Gone.",
    Reason.FAILING: "Disabled: for 24 hours every delivery failed.",
    Reason.BEHIND: "Disabled: too many deliveries were waiting.",
}


class CreateWebhookBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    url: Url
    types: Types = ()
    description: Description = ""
    everybody: Everybody = False
    ordered: Ordered = True
    active: bool = True


class ChangeWebhookBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is left out stays as it is. `active: true` also enables what the system has disabled."""

    url: Url | UnsetType = UNSET
    types: Types | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    everybody: Everybody | UnsetType = UNSET
    ordered: Ordered | UnsetType = UNSET
    active: bool | UnsetType = UNSET


class ReplayBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What lies behind `after`, up to and with `until`; left out: up to now."""

    after: Place
    until: Place | None = None
    types: Types = ()


class WebhookAnswer(Struct):
    id: UUID
    url: str
    types: list[str]
    description: str
    everybody: bool
    ordered: bool
    active: bool
    notice: Annotated[str | None, Meta(description="Why the system has disabled it.")]
    disabled: Reason | None
    waiting: Annotated[int, Meta(description="Deliveries that have yet to succeed.")]
    failing_since: Annotated[datetime | None, Meta(description="Since when nothing was delivered.")]
    succeeded_at: datetime | None
    next_at: Annotated[datetime | None, Meta(description="When something is sent next.")]
    old_secrets_until: Annotated[
        list[datetime], Meta(description="How long each secret before the newest signs beside it.")
    ]
    revision: Revision


class WebhookList(Struct):
    """All of them: there may be 20."""

    items: list[WebhookAnswer]


class SecretAnswer(Struct):
    id: UUID
    secret: Annotated[
        str | None,
        Meta(
            description="Shown only now. null: a repeated request, and the secret is no longer known.",
            examples=["whsec_..."],
        ),
    ]
    position: Position


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


@post(
    "/webhooks",
    dto=StrictBody[CreateWebhookBody],
    return_dto=None,
    responses=answers(201, SecretAnswer, 401, 409, 413, 415, 422),
)
async def create(
    data: JSONBody[CreateWebhookBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Response[SecretAnswer]:
    """Have your events sent to a URL from now on. The answer holds the secret that signs them, this once."""
    made: MadeSecret = await parts.commands.run(
        CreateWebhook(
            owner=caller.account,
            url=data.url,
            types=data.types,
            description=data.description,
            everybody=data.everybody,
            ordered=data.ordered,
            active=data.active,
        ),
        context,
    )
    url = f"{parts.public_url}/api/v1/webhooks/{made.webhook}"
    return Response(_secret(made), status_code=201, headers={"Location": url})


@get("/webhooks", responses=answers(200, WebhookList, 401))
async def mine(parts: NamedDependency[Parts], caller: NamedDependency[Caller]) -> WebhookList:
    """Your webhooks, the oldest first."""
    needs, items = parts.commands.needs, []
    for id in await needs.webhooks.owned(caller.account):
        state, revision = await needs.streams.load(WEBHOOK, id)
        if state.owner == caller.account and not state.deleted:
            items.append(await _shown(id, state, revision, parts))
    return WebhookList(items)


@get("/webhooks/{webhook:uuid}", responses=answers(200, WebhookAnswer, 401, 404))
async def show(
    webhook: FromPath[UUID], parts: NamedDependency[Parts], caller: NamedDependency[Caller]
) -> Response[WebhookAnswer]:
    """One webhook: how it is set, and how it does. `ETag`: its revision."""
    await owned(webhook, caller.account, parts.commands.needs)
    state, revision = await parts.commands.needs.streams.load(WEBHOOK, webhook)
    return Response(await _shown(webhook, state, revision, parts), headers={"ETag": f'"{revision}"'})


@patch(
    "/webhooks/{webhook:uuid}",
    dto=StrictBody[ChangeWebhookBody],
    return_dto=None,
    responses=answers(200, Moved, 401, 404, 409, 412, 413, 415, 422),
)
async def change(
    webhook: FromPath[UUID],
    data: JSONBody[ChangeWebhookBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    expected: NamedDependency[int | None],
) -> Moved:
    """Change it, pause it (`active: false`) or go on (`active: true`). Another URL is tried at once.

    What happens while it is paused or disabled is not sent later, unless a replay asks for it. `If-Match` as elsewhere.
    """
    named = {name: None if value is UNSET else value for name, value in msgspec.structs.asdict(data).items()}
    wish = ChangeWebhook(by=caller.account, webhook=webhook, expected=expected, **named)
    return Moved((await parts.commands.run(wish, context)).position)


@delete("/webhooks/{webhook:uuid}", status_code=200, responses=answers(200, Moved, 401, 404, 412))
async def remove(
    webhook: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
    expected: NamedDependency[int | None],
) -> Moved:
    """Send nothing there any more, and forget the URL, the secret and the deliveries."""
    wish = DeleteWebhook(by=caller.account, webhook=webhook, expected=expected)
    return Moved((await parts.commands.run(wish, context)).position)


@post("/webhooks/{webhook:uuid}/secret", status_code=201, responses=answers(201, SecretAnswer, 401, 404, 409))
async def rotate(
    webhook: FromPath[UUID],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> SecretAnswer:
    """Make another secret. For 24 hours the old one signs beside it: each message carries both signatures."""
    made: MadeSecret = await parts.commands.run(RotateSecret(by=caller.account, webhook=webhook), context)
    return _secret(made)


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


async def _shown(id: UUID, state: Webhook, revision: int, parts: Parts) -> WebhookAnswer:
    kept, address = parts.commands.needs.webhooks, state.address
    assert address is not None
    opened, health = await kept.opened(id, [address]), await kept.health(id)
    return WebhookAnswer(
        id=id,
        url=opened.get(address, ""),
        types=list(state.types),
        description=state.description,
        everybody=state.everybody,
        ordered=state.ordered,
        active=state.active,
        notice=None if state.disabled is None else NOTICES[state.disabled],
        disabled=state.disabled,
        waiting=health.waiting,
        failing_since=health.failing_since,
        succeeded_at=health.succeeded_at,
        next_at=health.next_at if health.waiting else None,
        old_secrets_until=[old.until for old in state.old_secrets if old.until > parts.now()],
        revision=revision,
    )


def _secret(made: MadeSecret) -> SecretAnswer:
    return SecretAnswer(made.webhook, made.secret, made.position)


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


ROUTER = Router(
    "/",
    route_handlers=[create, mine, show, change, remove, rotate, try_out, deliveries, send_again, replay],
    tags=["webhooks"],
)
