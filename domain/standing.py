"""What others decide about an account: its role, whether it has to stay away, a second factor that it has lost."""

from domain.account import (
    Account,
    AccountEvent,
    AccountReinstated,
    AccountSuspended,
    Role,
    RoleGiven,
    SecondFactorOff,
)
from domain.reasons import stated
from domain.refusals import NotAllowed, NotFound


def check_giver(giver: Account | None) -> None:
    """Who decides about others administers the whole at that moment; None: the operator of the server.

    Nobody decides about themselves, so that one administrator is always left.
    """
    if giver is not None and not giver.administers:
        raise NotAllowed("Only an administrator may do this.")


def give_role(account: Account, *, role: Role, reason: str) -> list[AccountEvent]:
    """Whether the giver may do so is known by the caller."""
    because = _about(account, reason)
    return [] if account.role == role else [RoleGiven(role=role, reason=because)]


def suspend(account: Account, *, reason: str) -> list[AccountEvent]:
    """Keep somebody out, for a reason that they are told when they log in."""
    because = _about(account, reason)
    if account.suspended is not None:
        return []
    return [AccountSuspended(reason=because, epoch=account.epoch + 1)]


def reinstate(account: Account, *, reason: str) -> list[AccountEvent]:
    """Let somebody in again; what waits of theirs goes on."""
    because = _about(account, reason)
    return [] if account.suspended is None else [AccountReinstated(reason=because)]


def drop_factor(account: Account, *, reason: str) -> list[AccountEvent]:
    """For somebody who has lost both device and recovery codes. Whether they are who they say, the giver knows."""
    because = _about(account, reason)
    return [] if account.factor is None else [SecondFactorOff(reason=because)]


def _about(account: Account, reason: str) -> str:
    if account.id is None or account.erased:
        raise NotFound("There is no such account.")
    return stated(reason)
