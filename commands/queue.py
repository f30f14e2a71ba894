"""What administrators wish of the queue, and of runs that failed for want of a machine."""

from datetime import timedelta

from msgspec.structs import replace

from commands.audiences import Restriction, audience
from commands.needs import Command, Needs
from commands.pools import NO_POOL, UNKNOWN_POOL, known
from commands.streams import Accepted, Change, Context, Source
from domain import limits, queue, run
from domain.account import ACCOUNT, Account
from domain.backend import OWN, own_name
from domain.ids import AccountId, Position, RunId, limits_id, queue_id
from domain.limits import LIMITS, Allowance, Given, LimitsEvent
from domain.queue import EVERYTHING, QUEUE, PoolSettings
from domain.refusals import FieldError, Invalid, NotFound
from domain.run import RUN


class PauseQueue(Command, frozen=True, kw_only=True):
    """An empty `pool` stands for all of them, here and below."""

    pool: str
    reason: str


class ResumeQueue(Command, frozen=True, kw_only=True):
    pool: str
    reason: str


class SetPool(Command, frozen=True, kw_only=True):
    """`audience`: who may name it for runs; None: everybody."""

    pool: str
    settings: PoolSettings
    audience: Restriction | None = None
    reason: str


class AssignPool(Command, frozen=True, kw_only=True):
    """None: everybody's."""

    account: AccountId
    pool: str | None
    reason: str


class SetLimits(Command, frozen=True, kw_only=True):
    account: AccountId
    limits: Allowance
    weight: float
    reason: str


class CleanQueue(Command, frozen=True, kw_only=True):
    """Runs in these states that have been over for so long."""

    states: tuple[str, ...]
    older_than_s: float
    reason: str


class FinishCleaning(Command, frozen=True, kw_only=True):
    """`cleaned`: where the cleaning was asked for. `outputs`: of the runs that were put away."""

    cleaned: Position
    runs: int
    outputs: int


class ReviveRun(Command, frozen=True, kw_only=True):
    run: RunId
    reason: str


async def pause_queue(command: PauseQueue, context: Context, needs: Needs) -> Accepted:
    """Raises Invalid, KeyReused; so do the next two. A pool that nobody knows holds nothing that could be paused."""
    if command.pool != EVERYTHING and not await known(command.pool, needs):
        raise Invalid(UNKNOWN_POOL, FieldError("pool", UNKNOWN_POOL))
    return await needs.streams.transact(
        context,
        Change(QUEUE, queue_id(), lambda state: queue.pause(state, pool=command.pool, reason=command.reason)),
    )


async def resume_queue(command: ResumeQueue, context: Context, needs: Needs) -> Accepted:
    return await needs.streams.transact(
        context,
        Change(
            QUEUE, queue_id(), lambda state: queue.resume(state, pool=command.pool, reason=command.reason)
        ),
    )


async def set_pool(command: SetPool, context: Context, needs: Needs) -> Accepted:
    settings = replace(command.settings, audience=await audience(command.audience, needs))

    def decide(state: queue.Queue) -> list[queue.QueueEvent]:
        return queue.set_pool(state, pool=command.pool, settings=settings, reason=command.reason)

    accepted = await needs.streams.transact(context, Change(QUEUE, queue_id(), decide))
    needs.backends.look_again()
    return accepted


async def assign_pool(command: AssignPool, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Invalid, KeyReused."""
    pool = command.pool or ""
    if pool.startswith(OWN) and pool != own_name(command.account):
        raise Invalid(NO_POOL, FieldError("pool", "It is an account's own."))

    def decide(state: queue.Queue, account: Account) -> list[queue.QueueEvent]:
        if account.id is None or account.erased:
            raise NotFound("There is no such account.")
        return queue.assign(state, account=command.account, pool=pool, reason=command.reason)

    change = Change(QUEUE, queue_id(), decide, given=(Source(ACCOUNT, command.account),))
    accepted = await needs.streams.transact(context, change)
    needs.backends.look_again()
    return accepted


async def clean_queue(command: CleanQueue, context: Context, needs: Needs) -> Accepted:
    """Say so; an errand does it. Raises Invalid, KeyReused."""
    before = needs.now() - timedelta(seconds=command.older_than_s)

    def decide(state: queue.Queue) -> list[queue.QueueEvent]:
        return queue.clean(state, states=command.states, before=before, reason=command.reason)

    return await needs.streams.transact(context, Change(QUEUE, queue_id(), decide))


async def finish_cleaning(command: FinishCleaning, context: Context, needs: Needs) -> Accepted:
    def decide(state: queue.Queue) -> list[queue.QueueEvent]:
        return queue.finish_cleaning(
            state, cleaned=command.cleaned, runs=command.runs, outputs=command.outputs
        )

    return await needs.streams.transact(context, Change(QUEUE, queue_id(), decide))


async def set_limits(command: SetLimits, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Invalid, KeyReused."""

    def decide(given: Given, account: Account) -> list[LimitsEvent]:
        if account.id is None or account.erased:
            raise NotFound("There is no such account.")
        return limits.give(
            given,
            account=command.account,
            limits=command.limits,
            weight=command.weight,
            reason=command.reason,
        )

    change = Change(LIMITS, limits_id(command.account), decide, given=(Source(ACCOUNT, command.account),))
    return await needs.streams.transact(context, change)


async def revive_run(command: ReviveRun, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, also for a run whose account is gone; Conflict, Invalid, KeyReused."""
    state, _ = await needs.streams.load(RUN, command.run)
    if state.owner is None:
        raise NotFound("There is no such run.")

    def decide(state: run.Run, owner: Account) -> list[run.RunEvent]:
        if owner.erased:
            raise NotFound("There is no such run.")
        return run.revive(state, now=needs.now(), reason=command.reason)

    change = Change(RUN, command.run, decide, given=(Source(ACCOUNT, state.owner),))
    return await needs.streams.transact(context, change)
