"""A webhook: an address to which an account wants events sent. Address and secrets are known here by their ids only.

What they are is kept encrypted outside the log.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event
from domain.ids import AccountId
from domain.refusals import Conflict, FieldError, Invalid, NotFound


class Reason(StrEnum):
    """Why the system has disabled it."""

    GONE = "gone"
    FAILING = "failing"
    BEHIND = "behind"


class WebhookCreated(Event, frozen=True, kw_only=True, tag="webhook.created.v1"):
    """`types`: which events, as `run.succeeded.v1` or `run.*`; none named: all. `everybody`: see WebhookChanged."""

    owner: AccountId
    address: UUID
    secret: UUID
    types: tuple[str, ...] = ()
    description: str = ""
    everybody: bool = False
    ordered: bool = True


class WebhookChanged(Event, frozen=True, kw_only=True, tag="webhook.changed.v1"):
    """None: as it was. `everybody`: whether what everybody is told is sent too, of others' things."""

    address: UUID | None = None
    types: tuple[str, ...] | None = None
    description: str | None = None
    everybody: bool | None = None
    ordered: bool | None = None


class WebhookSecretRotated(Event, frozen=True, kw_only=True, tag="webhook.secret_rotated.v1"):
    """`until`: how long the secret before it signs beside it."""

    secret: UUID
    until: datetime


class WebhookPaused(Event, frozen=True, kw_only=True, tag="webhook.paused.v1"):
    """By its owner."""


class WebhookResumed(Event, frozen=True, kw_only=True, tag="webhook.resumed.v1"):
    pass


class WebhookDisabled(Event, frozen=True, kw_only=True, tag="webhook.disabled.v1"):
    """By the system."""

    reason: Reason


class WebhookDeleted(Event, frozen=True, kw_only=True, tag="webhook.deleted.v1"):
    pass


WebhookEvent: TypeAlias = (
    WebhookCreated
    | WebhookChanged
    | WebhookSecretRotated
    | WebhookPaused
    | WebhookResumed
    | WebhookDisabled
    | WebhookDeleted
)

T = TypeVar("T")

OVERLAP = timedelta(hours=24)  # for whoever receives, to learn the new secret
MAX_TYPES = 50
MAX_DESCRIPTION = 500
MAX_OLD_SECRETS = 4


class OldSecret(Struct, frozen=True):
    id: UUID
    until: datetime


class Webhook(Struct, frozen=True):
    owner: AccountId | None = None
    address: UUID | None = None
    secret: UUID | None = None
    old_secrets: tuple[OldSecret, ...] = ()
    types: tuple[str, ...] = ()
    description: str = ""
    everybody: bool = False
    ordered: bool = True
    active: bool = False
    disabled: Reason | None = None
    deleted: bool = False


def evolve(webhook: Webhook, event: WebhookEvent) -> Webhook:
    match event:
        case WebhookCreated():
            return Webhook(
                owner=event.owner,
                address=event.address,
                secret=event.secret,
                types=event.types,
                description=event.description,
                everybody=event.everybody,
                ordered=event.ordered,
                active=True,
            )
        case WebhookChanged():
            return replace(webhook, **_named(event))
        case WebhookSecretRotated(secret=secret, until=until):
            assert webhook.secret is not None
            old = (*_signing_at(webhook, until - OVERLAP), OldSecret(webhook.secret, until))
            return replace(webhook, secret=secret, old_secrets=old)
        case WebhookPaused():
            return replace(webhook, active=False)
        case WebhookResumed():
            return replace(webhook, active=True, disabled=None)
        case WebhookDisabled(reason=reason):
            return replace(webhook, active=False, disabled=reason)
        case WebhookDeleted():
            return replace(webhook, active=False, deleted=True)


WEBHOOK: Decider[Webhook, WebhookEvent] = Decider("webhook", Webhook(), evolve, lambda webhook: webhook.owner)


def create(
    webhook: Webhook,
    *,
    owner: AccountId,
    address: UUID,
    secret: UUID,
    known: Collection[str],
    types: tuple[str, ...] = (),
    description: str = "",
    everybody: bool = False,
    ordered: bool = True,
) -> list[WebhookEvent]:
    """From now on events are sent there. `known`: the types that there are."""
    if webhook.owner is not None:
        raise Conflict("This webhook exists already.")
    return [
        WebhookCreated(
            owner=owner,
            address=address,
            secret=secret,
            types=_types(types, known),
            description=_description(description),
            everybody=everybody,
            ordered=ordered,
        )
    ]


def change(
    webhook: Webhook,
    *,
    by: AccountId,
    known: Collection[str],
    address: UUID | None = None,
    types: tuple[str, ...] | None = None,
    description: str | None = None,
    everybody: bool | None = None,
    ordered: bool | None = None,
) -> list[WebhookEvent]:
    """What is None stays as it is."""
    owned(webhook, by=by)
    wanted = WebhookChanged(
        address=_other(address, webhook.address),
        types=None if types is None else _other(_types(types, known), webhook.types),
        description=None if description is None else _other(_description(description), webhook.description),
        everybody=_other(everybody, webhook.everybody),
        ordered=_other(ordered, webhook.ordered),
    )
    return [wanted] if _named(wanted) else []


def rotate(webhook: Webhook, *, by: AccountId, secret: UUID, now: datetime) -> list[WebhookEvent]:
    """Sign with another secret; the one before signs beside it for a day."""
    owned(webhook, by=by)
    if webhook.secret == secret:
        return []
    if len(_signing_at(webhook, now)) >= MAX_OLD_SECRETS:
        raise Conflict("The secret was changed too often within a day. Please wait.")
    return [WebhookSecretRotated(secret=secret, until=now + OVERLAP)]


def pause(webhook: Webhook, *, by: AccountId) -> list[WebhookEvent]:
    """Send nothing more; what happens meanwhile is not sent later, unless it is asked for."""
    owned(webhook, by=by)
    return [WebhookPaused()] if webhook.active else []


def resume(webhook: Webhook, *, by: AccountId) -> list[WebhookEvent]:
    """Send again what happens from now on, also after the system has disabled it."""
    owned(webhook, by=by)
    return [] if webhook.active else [WebhookResumed()]


def disable(webhook: Webhook, *, reason: Reason) -> list[WebhookEvent]:
    """Whoever answers there does not want it, or nobody does."""
    return [WebhookDisabled(reason=reason)] if webhook.active else []


def delete(webhook: Webhook, *, by: AccountId) -> list[WebhookEvent]:
    """Forget it. Asking twice is not an error."""
    if webhook.deleted and webhook.owner == by:
        return []
    owned(webhook, by=by)
    return [WebhookDeleted()]


def owned(webhook: Webhook, *, by: AccountId) -> None:
    """Whether it is theirs. To a stranger, and after its deletion, it does not exist."""
    if webhook.owner is None or webhook.owner != by or webhook.deleted:
        raise NotFound("There is no such webhook.")


def wants(webhook: Webhook, type: str, *, own: bool) -> bool:
    """Whether an event of this public type is sent there. `own`: whether it is about a thing of the owner."""
    if not webhook.active or not (own or webhook.everybody):
        return False
    return named(webhook.types, type)


def named(types: tuple[str, ...], type: str) -> bool:
    """Whether a type is among these, where none named means all."""
    return not types or any(_matches(pattern, type) for pattern in types)


def signing(webhook: Webhook, now: datetime) -> tuple[UUID, ...]:
    """The secrets that sign now, the newest first."""
    assert webhook.secret is not None
    return (webhook.secret, *(old.id for old in reversed(_signing_at(webhook, now))))


def kept(webhook: Webhook) -> frozenset[UUID]:
    """The address and the secrets that it may still need."""
    named = (webhook.address, webhook.secret, *(old.id for old in webhook.old_secrets))
    return frozenset() if webhook.deleted else frozenset(id for id in named if id is not None)


def _signing_at(webhook: Webhook, now: datetime) -> tuple[OldSecret, ...]:
    return tuple(old for old in webhook.old_secrets if old.until > now)


def _matches(pattern: str, type: str) -> bool:
    return type.startswith(pattern[:-1]) if pattern.endswith("*") else type == pattern


def _other(wanted: T | None, is_now: T | None) -> T | None:
    return None if wanted == is_now else wanted


def _named(event: WebhookChanged) -> dict[str, Any]:
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return {name: value for name, value in fields.items() if value is not None}


def _types(types: tuple[str, ...], known: Collection[str]) -> tuple[str, ...]:
    named = tuple(dict.fromkeys(types))
    if len(named) > MAX_TYPES:
        raise Invalid("These are too many types.", FieldError("types", f"At most {MAX_TYPES}."))
    errors = [
        FieldError(f"types.{place}", "There is no such type of event. Name one, or a kind as `run.*`.")
        for place, type in enumerate(named)
        if not (type[-2:] in ("*", ".*") or "*" not in type)
        or not any(_matches(type, each) for each in known)
    ]
    if errors:
        raise Invalid("The types are not usable.", *errors)
    return named


def _description(description: str) -> str:
    if len(description) > MAX_DESCRIPTION:
        raise Invalid(
            "The description is too long.",
            FieldError("description", f"It may have {MAX_DESCRIPTION} characters at most."),
        )
    if any(ord(letter) < 32 for letter in description):
        raise Invalid(
            "The description holds control characters.", FieldError("description", "Control characters.")
        )
    return description
