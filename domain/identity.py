"""An account and its identity at a provider: whom the provider says to be that one is let in."""

from domain.account import (
    Account,
    AccountEvent,
    EmailConfirmed,
    IdentityLinked,
    IdentityUnlinked,
    at_home,
    log_in,
    register,
)
from domain.ids import AccountId, SessionId, StreamId
from domain.personal import Personal
from domain.refusals import Conflict, NotAuthenticated


def arrive(
    account: Account, *, id: AccountId, username: Personal, identity: StreamId, email: StreamId | None
) -> list[AccountEvent]:
    """Join by what the provider says. `email`: the stream of an address that it has seen to be theirs."""
    joined = [*register(account, id=id, username=username), IdentityLinked(identity=identity)]
    return joined if email is None else [*joined, EmailConfirmed(email=email)]


def log_in_by(account: Account, *, identity: StreamId, session: SessionId, epoch: int) -> list[AccountEvent]:
    """Begin a session by what the provider says. That it says so is known by the caller."""
    if account.identity != identity:
        raise NotAuthenticated("This identity is not linked to the account any more.")
    return log_in(account, session=session, epoch=epoch)


def link(account: Account, *, identity: StreamId, by: SessionId) -> list[AccountEvent]:
    """Let in whom the provider says to be this one."""
    at_home(account, by)
    if account.identity not in (None, identity):
        raise Conflict("Another identity of the provider is linked already. Unlink it first.")
    return [] if account.identity == identity else [IdentityLinked(identity=identity)]


def unlink(account: Account, *, has_password: bool, by: SessionId) -> list[AccountEvent]:
    """Let nobody in by the provider any more. There has to be another way in."""
    at_home(account, by)
    if account.identity is None:
        return []
    if not has_password:
        raise Conflict("You could not log in any more. Take a password first.")
    return [IdentityUnlinked(identity=account.identity)]
