"""The queue, as administrators steer it: paused and resumed, pools with a class and limits, old runs cleaned away."""

from datetime import datetime
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from domain.audience import Audience, settled
from domain.event import Decider, Event
from domain.ids import AccountId, Position
from domain.reasons import stated
from domain.refusals import FieldError, Invalid

EVERYTHING = ""
"""In place of a pool: all of them."""


class PoolSettings(Struct, frozen=True, kw_only=True):
    """`rank`: pools with a higher one are served first. `running`, `queued`: so many runs at most; None: any number.

    `audience`: who may name it for runs; None: everybody.
    """

    rank: int = 0
    running: int | None = None
    queued: int | None = None
    audience: Audience | None = None


class QueuePaused(Event, frozen=True, kw_only=True, tag="queue.paused.v1"):
    """Nothing is claimed any more, from one pool or from all. Runs are still taken in."""

    pool: str = EVERYTHING
    reason: str


class QueueResumed(Event, frozen=True, kw_only=True, tag="queue.resumed.v1"):
    pool: str = EVERYTHING
    reason: str


class PoolSet(Event, frozen=True, kw_only=True, tag="queue.pool_set.v1"):
    pool: str
    settings: PoolSettings
    reason: str


class PoolAssigned(Event, frozen=True, kw_only=True, tag="queue.pool_assigned.v1"):
    """Runs of this account that name no pool wait in this one; empty: in everybody's."""

    account: AccountId
    pool: str
    reason: str


class QueueCleaned(Event, frozen=True, kw_only=True, tag="queue.cleaned.v1"):
    """Runs in these states that were over by then are put away, with their files; what happened to them stays."""

    states: tuple[str, ...]
    before: datetime
    reason: str


class CleaningFinished(Event, frozen=True, kw_only=True, tag="queue.cleaning_finished.v1"):
    """All runs that were meant are put away. `cleaned`: where it was asked for. `outputs`: of those runs."""

    cleaned: Position
    runs: int
    outputs: int


QueueEvent: TypeAlias = QueuePaused | QueueResumed | PoolSet | PoolAssigned | QueueCleaned | CleaningFinished

FINISHED = frozenset({"succeeded", "failed", "cancelled"})
MAX_RANK = 1_000
MAX_RUNS = 10_000_000
MAX_NAME = 64
MAX_POOLS = 1_000
REMEMBERED = 100  # cleanings that have come to their end
MAX_ASSIGNED = 10_000  # the state is read as a whole
LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


class Cleaning(Struct, frozen=True):
    """What came of one: see CleaningFinished."""

    cleaned: Position
    runs: int
    outputs: int


class Queue(Struct, frozen=True):
    paused: tuple[str, ...] = ()
    pools: dict[str, PoolSettings] = {}
    assigned: dict[AccountId, str] = {}
    cleaned: tuple[tuple[str, ...], datetime] | None = None
    cleanings: tuple[Cleaning, ...] = ()


def evolve(queue: Queue, event: QueueEvent) -> Queue:
    match event:
        case QueuePaused(pool=pool):
            return replace(queue, paused=(*queue.paused, pool))
        case QueueResumed(pool=pool):
            return replace(queue, paused=tuple(each for each in queue.paused if each != pool))
        case PoolSet(pool=pool, settings=settings):
            return replace(queue, pools={**queue.pools, pool: settings})
        case PoolAssigned(account=account, pool=pool):
            others = {each: name for each, name in queue.assigned.items() if each != account}
            return replace(queue, assigned={**others, account: pool} if pool else others)
        case QueueCleaned(states=states, before=before):
            return replace(queue, cleaned=(states, before))
        case CleaningFinished(cleaned=cleaned, runs=runs, outputs=outputs):
            done = (*queue.cleanings, Cleaning(cleaned, runs, outputs))
            return replace(queue, cleanings=done[-REMEMBERED:])


QUEUE: Decider[Queue, QueueEvent] = Decider("queue", Queue(), evolve, lambda queue: None)


def pause(queue: Queue, *, pool: str, reason: str) -> list[QueueEvent]:
    """Let nothing more be claimed. What is under way goes on; what is submitted waits."""
    given = stated(reason)
    if pool != EVERYTHING:
        _named(queue, pool)
    return [] if pool in queue.paused else [QueuePaused(pool=pool, reason=given)]


def resume(queue: Queue, *, pool: str, reason: str) -> list[QueueEvent]:
    """Go on. A pool that is paused by itself stays so when all are resumed."""
    given = stated(reason)
    return [QueueResumed(pool=pool, reason=given)] if pool in queue.paused else []


def set_pool(queue: Queue, *, pool: str, settings: PoolSettings, reason: str) -> list[QueueEvent]:
    """Say how a pool is served."""
    given = stated(reason)
    _named(queue, pool)
    if not -MAX_RANK <= settings.rank <= MAX_RANK:
        raise Invalid(
            "The rank is out of range.", FieldError("rank", f"It must be {-MAX_RANK} to {MAX_RANK}.")
        )
    for field, number in (("running", settings.running), ("queued", settings.queued)):
        if number is not None and not 0 <= number <= MAX_RUNS:
            raise Invalid("The limit is out of range.", FieldError(field, f"It must be 0 to {MAX_RUNS}."))
    if settings.audience is not None:
        settings = replace(settings, audience=settled(settings.audience))
    return [] if queue.pools.get(pool) == settings else [PoolSet(pool=pool, settings=settings, reason=given)]


def assign(queue: Queue, *, account: AccountId, pool: str, reason: str) -> list[QueueEvent]:
    """Say where an account's runs wait that name no pool. That there is such an account is known by the caller."""
    given = stated(reason)
    if pool:
        _named(queue, pool)
    if queue.assigned.get(account, "") == pool:
        return []
    if len({*queue.assigned, account}) > MAX_ASSIGNED:
        raise Invalid(
            "Too many accounts have a pool.", FieldError("pool", f"{MAX_ASSIGNED} accounts at most.")
        )
    return [PoolAssigned(account=account, pool=pool, reason=given)]


def clean(queue: Queue, *, states: tuple[str, ...], before: datetime, reason: str) -> list[QueueEvent]:
    """Put old runs away. `before` is not in the future: that is known by the caller."""
    given = stated(reason)
    wanted = tuple(sorted(set(states)))
    if not wanted or not FINISHED.issuperset(wanted):
        raise Invalid(
            "There is no such state of a run that is over.",
            FieldError("states", f"Some of {', '.join(sorted(FINISHED))}."),
        )
    if queue.cleaned == (wanted, before):
        return []
    return [QueueCleaned(states=wanted, before=before, reason=given)]


def finish_cleaning(queue: Queue, *, cleaned: Position, runs: int, outputs: int) -> list[QueueEvent]:
    """Tell what was put away. Told once."""
    if any(each.cleaned == cleaned for each in queue.cleanings):
        return []
    return [CleaningFinished(cleaned=cleaned, runs=runs, outputs=outputs)]


def _named(queue: Queue, pool: str) -> None:
    if not 1 <= len(pool) <= MAX_NAME or not LETTERS.issuperset(pool):
        raise Invalid(
            "There can be no such pool.",
            FieldError("pool", f"1 to {MAX_NAME} letters, digits, underscores and dashes."),
        )
    if len({*queue.paused, *queue.pools, pool}) > MAX_POOLS:
        raise Invalid("There are too many pools.", FieldError("pool", f"{MAX_POOLS} at most."))
