"""How much of the shared machines an account may have, and how much it counts beside others."""

from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from msgspec import Struct

from domain.event import Decider, Event
from domain.ids import AccountId
from domain.reasons import stated
from domain.refusals import FieldError, Invalid, TooMany


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


class Standing(Struct, frozen=True, kw_only=True):
    """What an account has at the moment and what it may have; `pool_queued` are everybody's of the pool."""

    limits: Allowance
    queued: int = 0
    runs_today: int = 0
    run_s_today: float = 0.0
    pool_queued: int = 0
    pool_limit: int | None = None


class Quota(Struct, frozen=True):
    """One limit and what is left of it; `window_s`, `reset_s`: None where it does not begin anew by the clock."""

    name: str
    limit: int
    left: int
    window_s: int | None = None
    reset_s: int | None = None


class LimitReached(TooMany):
    """An account, or a pool, has as much as it may have."""

    def __init__(self, message: str, quotas: tuple[Quota, ...], *, retry_after_s: int) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.quotas = quotas


DAY_S = 24 * 3600
FULL_S = 30  # a queue that is full may have room again when some runs have begun
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


def admit(standing: Standing, *, runs: int, now: datetime) -> tuple[Quota, ...]:
    """Let some more runs wait, all of them or none. Returns what is left then. Raises LimitReached."""
    limits, tomorrow_s = standing.limits, _until_tomorrow_s(now)
    if _over(limits.queued, standing.queued + runs):
        said, retry_after_s = f"At most {limits.queued} of your runs may wait.", FULL_S
    elif _over(standing.pool_limit, standing.pool_queued + runs):
        said, retry_after_s = "The queue is full.", FULL_S
    elif _over(limits.runs_per_day, standing.runs_today + runs):
        said, retry_after_s = f"You may have {limits.runs_per_day} runs a day.", tomorrow_s
    elif limits.run_s_per_day is not None and standing.run_s_today >= limits.run_s_per_day:
        said, retry_after_s = f"Your runs may take {limits.run_s_per_day} seconds a day.", tomorrow_s
    else:
        return quotas(standing, runs=runs, now=now)
    raise LimitReached(said, quotas(standing, runs=0, now=now), retry_after_s=retry_after_s)


def quotas(standing: Standing, *, runs: int, now: datetime) -> tuple[Quota, ...]:
    """The limits that there are, and what is left of them after some more runs."""
    limits, reset_s = standing.limits, _until_tomorrow_s(now)
    found = (
        ("queued", limits.queued, standing.queued + runs, None, None),
        ("runs-per-day", limits.runs_per_day, standing.runs_today + runs, DAY_S, reset_s),
        ("run-seconds-per-day", limits.run_s_per_day, int(standing.run_s_today), DAY_S, reset_s),
    )
    return tuple(
        Quota(name, limit, max(0, limit - had), window_s, reset)
        for name, limit, had, window_s, reset in found
        if limit is not None
    )


def _over(limit: int | None, had: int) -> bool:
    return limit is not None and had > limit


def _until_tomorrow_s(now: datetime) -> int:
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return max(1, int((today + timedelta(days=1) - now).total_seconds()))
