"""Letting runs wait: as many as their account may have, whichever way they are made."""

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from commands.needs import Needs
from commands.ports import LogUnavailableError
from commands.streams import Accepted, Context
from domain import limits
from domain.ids import AccountId, RunId
from domain.limits import LimitReached, Quota
from domain.refusals import DomainError


class Admitted(Struct, frozen=True):
    """`left`: what is left of the account's limits."""

    accepted: Accepted
    left: tuple[Quota, ...] = ()


async def admitted(
    runs: Sequence[RunId],
    by: AccountId,
    pool: str,
    context: Context,
    needs: Needs,
    append: Callable[[], Awaitable[Accepted]],
) -> Admitted:
    """Append what submits the runs, if their account may have so many more. A repeat gets the answer of before.

    Raises LimitReached, LogUnavailableError, and what `append` raises.
    """
    try:
        left = await needs.admissions.admit(
            by, pool, runs, lambda standing: limits.admit(standing, runs=len(runs), now=needs.now())
        )
    except LimitReached:
        if (known := await needs.streams.answered(context)) is not None:
            return Admitted(known)
        raise
    try:
        accepted = await append()
    except (DomainError, LogUnavailableError):
        await needs.admissions.release(runs)
        raise
    if accepted.repeated:
        await needs.admissions.release(runs)
    return Admitted(accepted, tuple(left))
