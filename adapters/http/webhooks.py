"""Webhooks: where somebody's events are sent. What came of it: deliveries.py."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.http.answers import answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.workflow_answers import Revision
from commands.streams import Context
from commands.webhooks import (
    ChangeWebhook,
    CreateWebhook,
    DeleteWebhook,
    RotateSecret,
    owned,
)
from commands.webhooks import Secret as MadeSecret
from domain.ids import Position
from domain.webhook import WEBHOOK, Reason, Webhook

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


ROUTER = Router("/", route_handlers=[create, mine, show, change, remove, rotate], tags=["webhooks"])
