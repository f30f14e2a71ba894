"""How much of the shared machines an account may have, and how much it counts beside others."""

from typing import TypeAlias

from msgspec import Struct

from domain.event import Decider, Event
from domain.ids import AccountId
from domain.reasons import stated
from domain.refusals import FieldError, Invalid


class Allowance(Struct, frozen=True, kw_only=True):
    """None: no limit; in what an account was given: as all. A day is one of UTC."""

    running: int | None = None
    queued: int | None = None
    runs_per_day: int | None = None
    run_s_per_day: int | None = None


class LimitsSet(Event, frozen=True, kw_only=True, tag="limits.set.v1"):
    """`weight`: an account with 2 gets twice the service of one with 1 while both are waiting."""

    account: AccountId
    limits: Allowance = Allowance()
    weight: float = 1.0
    reason: str


LimitsEvent: TypeAlias = LimitsSet

MIN_WEIGHT, MAX_WEIGHT = 0.01, 100.0
MAX_LIMIT = 10_000_000


class Given(Struct, frozen=True):
    """What one account was given."""

    account: AccountId | None = None
    limits: Allowance = Allowance()
    weight: float = 1.0


def evolve(given: Given, event: LimitsEvent) -> Given:
    match event:
        case LimitsSet(account=account, limits=limits, weight=weight):
            return Given(account, limits, weight)


LIMITS: Decider[Given, LimitsEvent] = Decider("limits", Given(), evolve, lambda given: given.account)


def give(
    given: Given, *, account: AccountId, limits: Allowance, weight: float, reason: str
) -> list[LimitsEvent]:
    """Give an account other limits than all have. That there is such an account is known by the caller."""
    because = stated(reason)
    if not MIN_WEIGHT <= weight <= MAX_WEIGHT:
        raise Invalid(
            "The weight is out of range.", FieldError("weight", f"It must be {MIN_WEIGHT} to {MAX_WEIGHT}.")
        )
    for field in Allowance.__struct_fields__:
        number = getattr(limits, field)
        if number is not None and not 0 <= number <= MAX_LIMIT:
            raise Invalid("The limit is out of range.", FieldError(field, f"It must be 0 to {MAX_LIMIT}."))
    if (given.limits, given.weight) == (limits, weight):
        return []
    return [LimitsSet(account=account, limits=limits, weight=weight, reason=because)]
