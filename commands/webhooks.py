"""Webhooks: each wish of their owner, and what the system does with them."""

import base64
from datetime import datetime
from uuid import UUID, uuid5

from msgspec import Struct

from commands.addresses import checked_url
from commands.needs import Command, Needs
from commands.streams import Accepted, Change, Context
from commands.webhook_state import Replay
from domain import webhook
from domain.ids import AccountId, Position
from domain.public_events import PublicEvent
from domain.refusals import Conflict, FieldError, Invalid, NotFound, TooMany
from domain.webhook import WEBHOOK, Reason, Webhook, WebhookCreated, WebhookEvent, WebhookSecretRotated

MAX_WEBHOOKS = 20  # an account's
TYPES = frozenset(str(event.__struct_config__.tag) for event in PublicEvent.__subclasses__())
TRIAL_S = 5  # after which another trial makes sense


class CreateWebhook(Command, frozen=True, kw_only=True):
    owner: AccountId
    url: str
    types: tuple[str, ...] = ()
    description: str = ""
    everybody: bool = False
    ordered: bool = True
    active: bool = True


class ChangeWebhook(Command, frozen=True, kw_only=True):
    """None: as it was. `expected`: the revision it is meant for, None for any."""

    by: AccountId
    webhook: UUID
    url: str | None = None
    types: tuple[str, ...] | None = None
    description: str | None = None
    everybody: bool | None = None
    ordered: bool | None = None
    active: bool | None = None
    expected: int | None = None


class RotateSecret(Command, frozen=True, kw_only=True):
    by: AccountId
    webhook: UUID


class DeleteWebhook(Command, frozen=True, kw_only=True):
    by: AccountId
    webhook: UUID
    expected: int | None = None


class DisableWebhook(Command, frozen=True, kw_only=True):
    """The system's wish."""

    webhook: UUID
    reason: Reason


class TryWebhook(Command, frozen=True, kw_only=True):
    by: AccountId
    webhook: UUID


class SendAgain(Command, frozen=True, kw_only=True):
    by: AccountId
    webhook: UUID
    delivery: UUID


class ReplayRange(Command, frozen=True, kw_only=True):
    """From behind `after` to `until`: positions, or times; None: the log's end."""

    by: AccountId
    webhook: UUID
    after: Position | datetime
    until: Position | datetime | None = None
    types: tuple[str, ...] = ()


class Secret(Struct, frozen=True):
    """Shown this once. None: the request was repeated, and the secret has been forgotten since."""

    webhook: UUID
    secret: str | None
    position: Position


async def create_webhook(command: CreateWebhook, context: Context, needs: Needs) -> Secret:
    """Raises Invalid, Conflict when the account has too many, KeyReused."""
    if (earlier := await needs.streams.answered(context)) is not None:
        return await _shown_again(earlier, needs)
    url = checked_url(command.url, private=needs.limits.private_addresses)
    id, address, secret = needs.new_id(), needs.new_id(), needs.new_id()

    def decide(state: Webhook) -> list[WebhookEvent]:
        events = webhook.create(
            state,
            owner=command.owner,
            address=address,
            secret=secret,
            known=TYPES,
            types=command.types,
            description=command.description,
            everybody=command.everybody,
            ordered=command.ordered,
        )
        if not command.active:
            events += webhook.pause(WEBHOOK.fold(state, events), by=command.owner)
        return events

    decide(Webhook())
    made = _new_secret(needs)
    kept = {address: url, secret: made}
    if not await needs.webhooks.keep(id, command.owner, kept, at_most=MAX_WEBHOOKS):
        raise Conflict(f"You have {MAX_WEBHOOKS} webhooks already. Delete one first.")
    accepted = await needs.streams.transact(context, Change(WEBHOOK, id, decide, new=True))
    if accepted.repeated:
        return await _shown_again(accepted, needs)
    return Secret(id, made, accepted.position)


async def change_webhook(command: ChangeWebhook, context: Context, needs: Needs) -> Accepted:
    """All changes or none. Raises NotFound, Invalid, Outdated, KeyReused."""
    state, _ = await needs.streams.load(WEBHOOK, command.webhook)
    webhook.owned(state, by=command.by)
    address = await _new_address(command, state, needs)

    def decide(state: Webhook) -> list[WebhookEvent]:
        events = webhook.change(
            state,
            by=command.by,
            known=TYPES,
            address=address,
            types=command.types,
            description=command.description,
            everybody=command.everybody,
            ordered=command.ordered,
        )
        if command.active is not None:
            switch = webhook.resume if command.active else webhook.pause
            events += switch(state, by=command.by)
        return events

    decide(state)
    if address is not None:
        await needs.webhooks.keep(command.webhook, command.by, {address: str(command.url)})
    change = Change(WEBHOOK, command.webhook, decide, expected=command.expected)
    return await needs.streams.transact(context, change)


async def rotate_secret(command: RotateSecret, context: Context, needs: Needs) -> Secret:
    """Raises NotFound, Conflict when it was done too often, KeyReused."""
    if (earlier := await needs.streams.answered(context)) is not None:
        return await _shown_again(earlier, needs)
    secret, made, now = needs.new_id(), _new_secret(needs), needs.now()

    def decide(state: Webhook) -> list[WebhookEvent]:
        return webhook.rotate(state, by=command.by, secret=secret, now=now)

    state, _ = await needs.streams.load(WEBHOOK, command.webhook)
    decide(state)
    await needs.webhooks.keep(command.webhook, command.by, {secret: made})
    accepted = await needs.streams.transact(context, Change(WEBHOOK, command.webhook, decide))
    if accepted.repeated:
        return await _shown_again(accepted, needs)
    return Secret(command.webhook, made, accepted.position)


async def delete_webhook(command: DeleteWebhook, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Outdated."""
    change = Change(
        WEBHOOK,
        command.webhook,
        lambda state: webhook.delete(state, by=command.by),
        expected=command.expected,
    )
    return await needs.streams.transact(context, change)


async def disable_webhook(command: DisableWebhook, context: Context, needs: Needs) -> Accepted:
    change = Change(WEBHOOK, command.webhook, lambda state: webhook.disable(state, reason=command.reason))
    return await needs.streams.transact(context, change)


async def try_webhook(command: TryWebhook, context: Context, needs: Needs) -> UUID:
    """The delivery's id. Raises NotFound, TooMany."""
    await owned(command.webhook, command.by, needs)
    delivery = _id(command.webhook, context, needs)
    if not await needs.webhooks.try_out(command.webhook, delivery):
        raise TooMany("The last test is still under way.", retry_after_s=TRIAL_S)
    return delivery


async def send_again(command: SendAgain, context: Context, needs: Needs) -> UUID:
    """Raises NotFound, Conflict while the webhook is not active."""
    _active(await owned(command.webhook, command.by, needs))
    asked_by = _id(command.webhook, context, needs)
    if not await needs.webhooks.send_again(command.webhook, command.delivery, asked_by):
        raise NotFound("There is no such delivery.")
    return command.delivery


async def replay_range(command: ReplayRange, context: Context, needs: Needs) -> Replay:
    """Raises NotFound, Invalid, Conflict while the webhook is not active or is replaying already."""
    state = await owned(command.webhook, command.by, needs)
    _active(state)
    webhook.change(state, by=command.by, known=TYPES, types=command.types)  # the types must be there
    head = await needs.webhooks.head()
    after = await _position(command.after, needs)
    until = head if command.until is None else min(head, await _position(command.until, needs))
    if until < after and command.until is not None:
        raise Invalid("The range is empty.", FieldError("until", "It lies before `after`."))
    replay = Replay(
        id=_id(command.webhook, context, needs),
        webhook=command.webhook,
        after=after,
        until=until,
        types=command.types,
    )
    if not await needs.webhooks.replay(replay):
        raise Conflict("A replay of this webhook is still under way.")
    return replay


async def owned(id: UUID, by: AccountId, needs: Needs) -> Webhook:
    """Raises NotFound."""
    state, _ = await needs.streams.load(WEBHOOK, id)
    webhook.owned(state, by=by)
    return state


def _active(state: Webhook) -> None:
    if not state.active:
        raise Conflict("The webhook is not active. Set `active` first.")


async def _position(place: Position | datetime, needs: Needs) -> Position:
    return await needs.webhooks.position_before(place) if isinstance(place, datetime) else place


async def _new_address(command: ChangeWebhook, state: Webhook, needs: Needs) -> UUID | None:
    """The id for another URL; None: it stays the same."""
    if command.url is None or state.address is None:
        return None
    url = checked_url(command.url, private=needs.limits.private_addresses)
    known = await needs.webhooks.opened(command.webhook, [state.address])
    return None if known.get(state.address) == url else needs.new_id()


async def _shown_again(accepted: Accepted, needs: Needs) -> Secret:
    """A repeat gets the same secret: its first answer may have been lost."""
    recorded = await needs.streams.log.at(accepted.first)
    assert recorded is not None
    match recorded.event:
        case WebhookCreated(secret=secret) | WebhookSecretRotated(secret=secret):
            opened = await needs.webhooks.opened(recorded.stream, [secret])
            return Secret(recorded.stream, opened.get(secret), accepted.position)
        case _:
            raise AssertionError("a request's hash names its path")


def _new_secret(needs: Needs) -> str:
    return "whsec_" + base64.b64encode(needs.secrets.random_token().encode()).decode()


def _id(webhook: UUID, context: Context, needs: Needs) -> UUID:
    """The same for the same idempotency key."""
    return needs.new_id() if context.key is None else uuid5(webhook, f"{context.actor} {context.key.key}")
