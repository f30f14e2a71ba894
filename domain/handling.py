"""How an account wants its outputs handled: in which rendition they are handed out, and for how long they are kept."""

from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event
from domain.ids import AccountId
from domain.refusals import FieldError, Invalid
from domain.rendition import AS_MADE, Rendition, check

MAX_DAYS = 36_500
MAX_BYTES = 2**50
NOT_POSSIBLE = "Outputs cannot be kept like this."


class Retention(Struct, frozen=True, kw_only=True):
    """What goes by itself: what is older than `days`, and the oldest when all are more than `size_bytes`.

    None: that is no reason. `keep_starred`: what is starred stays, and counts.
    """

    days: int | None = None
    size_bytes: int | None = None
    keep_starred: bool = True


class RenditionChosen(Event, frozen=True, kw_only=True, tag="handling.rendition_chosen.v1"):
    account: AccountId
    rendition: Rendition


class RetentionChosen(Event, frozen=True, kw_only=True, tag="handling.retention_chosen.v1"):
    """None: as all accounts have it that chose nothing."""

    account: AccountId
    retention: Retention | None


HandlingEvent: TypeAlias = RenditionChosen | RetentionChosen


class Handling(Struct, frozen=True):
    account: AccountId | None = None
    rendition: Rendition = AS_MADE
    retention: Retention | None = None


def evolve(handling: Handling, event: HandlingEvent) -> Handling:
    match event:
        case RenditionChosen(account=account, rendition=rendition):
            return replace(handling, account=account, rendition=rendition)
        case RetentionChosen(account=account, retention=retention):
            return replace(handling, account=account, retention=retention)


HANDLING: Decider[Handling, HandlingEvent] = Decider(
    "handling", Handling(), evolve, lambda handling: handling.account
)


def choose_rendition(handling: Handling, *, by: AccountId, rendition: Rendition) -> list[HandlingEvent]:
    """Have pictures handed out in another way from now on, also those that were made before."""
    check(rendition)
    return [] if handling.rendition == rendition else [RenditionChosen(account=by, rendition=rendition)]


def choose_retention(
    handling: Handling, *, by: AccountId, retention: Retention | None
) -> list[HandlingEvent]:
    """Say what goes by itself from now on; None: what goes where nobody has said anything."""
    if retention is not None:
        check_retention(retention)
    return [] if handling.retention == retention else [RetentionChosen(account=by, retention=retention)]


def check_retention(retention: Retention) -> Retention:
    """Raises Invalid."""
    for field, most in (("days", MAX_DAYS), ("size_bytes", MAX_BYTES)):
        number = getattr(retention, field)
        if number is not None and not 1 <= number <= most:
            raise Invalid(NOT_POSSIBLE, FieldError(field, f"It must be 1 to {most}."))
    return retention
