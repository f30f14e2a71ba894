"""An account: somebody who may log in. Its secrets and its e-mail address are kept outside the log.

What is personal in its events is sealed; erasing the account destroys the key.
"""

from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event
from domain.ids import AccountId, SessionId, StreamId
from domain.personal import Personal
from domain.refusals import Conflict, NotAllowed, NotAuthenticated, NotFound


class Role(StrEnum):
    MEMBER = "member"
    MODERATOR = "moderator"
    ADMIN = "admin"


class AccountRegistered(Event, frozen=True, kw_only=True, tag="account.registered.v2"):
    account: AccountId
    username: Personal


class AccountLoggedIn(Event, frozen=True, kw_only=True, tag="account.logged_in.v1"):
    session: SessionId


class AccountLoggedOut(Event, frozen=True, kw_only=True, tag="account.logged_out.v1"):
    session: SessionId


class SessionRevoked(Event, frozen=True, kw_only=True, tag="account.session_revoked.v1"):
    """A refresh token was used twice: it was stolen, or copied. Nobody may use the session any more."""

    session: SessionId


class PasswordChanged(Event, frozen=True, kw_only=True, tag="account.password_changed.v1"):
    """`password` names the hash that counts from now on; `kept` is the only session that goes on.

    Access tokens of an epoch before `epoch` open nothing any more.
    """

    password: UUID
    kept: SessionId | None
    epoch: int


class EmailChanged(Event, frozen=True, kw_only=True, tag="account.email_changed.v1"):
    """`email`: the stream of the reservation that counts from now on. The rest as where a password changes."""

    email: StreamId
    kept: SessionId | None
    epoch: int


class EmailConfirmed(Event, frozen=True, kw_only=True, tag="account.email_confirmed.v1"):
    """Whoever has the account reads what is sent to the address. `email`: the stream of its reservation."""

    email: StreamId


class IdentityLinked(Event, frozen=True, kw_only=True, tag="account.identity_linked.v1"):
    """Whom the provider says to be this one is let in. `identity`: the stream of its reservation."""

    identity: StreamId


class IdentityUnlinked(Event, frozen=True, kw_only=True, tag="account.identity_unlinked.v1"):
    identity: StreamId


class SecondFactorOn(Event, frozen=True, kw_only=True, tag="account.second_factor_on.v1"):
    """From now on a code is asked for beside the password. `factor` names the secret that it is made from."""

    factor: UUID


class SecondFactorOff(Event, frozen=True, kw_only=True, tag="account.second_factor_off.v1"):
    """`reason`: where an administrator has done it."""

    reason: str = ""


class SessionsEnded(Event, frozen=True, kw_only=True, tag="account.sessions_ended.v1"):
    """All but one at once; that one needs a new access token, too."""

    kept: SessionId | None
    epoch: int


class RoleGiven(Event, frozen=True, kw_only=True, tag="account.role_given.v1"):
    role: Role
    reason: str = ""


class AccountSuspended(Event, frozen=True, kw_only=True, tag="account.suspended.v1"):
    """They have to stay away: all sessions end, keys open nothing, and their runs wait."""

    reason: str
    epoch: int


class AccountReinstated(Event, frozen=True, kw_only=True, tag="account.reinstated.v1"):
    reason: str


class AccountErased(Event, frozen=True, kw_only=True, tag="account.erased.v1"):
    """All that was known of the person is gone, or about to go. `with_published`: what they have published too."""

    with_published: bool = False


AccountEvent: TypeAlias = (
    AccountRegistered
    | AccountLoggedIn
    | AccountLoggedOut
    | SessionRevoked
    | PasswordChanged
    | EmailChanged
    | EmailConfirmed
    | IdentityLinked
    | IdentityUnlinked
    | SecondFactorOn
    | SecondFactorOff
    | SessionsEnded
    | RoleGiven
    | AccountSuspended
    | AccountReinstated
    | AccountErased
)

MAX_SESSIONS = 50  # open at once; a client that never logs out must not make the state grow for ever
LINK_OVER = "This is not valid (any more). Please ask for another mail."
SESSION_OVER = "This session has ended. Please log in again."


class Account(Struct, frozen=True):
    """`password`, `email`: what they were changed to; None while they are as registered. `suspended`: why."""

    id: AccountId | None = None
    sessions: tuple[SessionId, ...] = ()
    epoch: int = 0
    password: UUID | None = None
    email: StreamId | None = None
    confirmed: StreamId | None = None
    identity: StreamId | None = None
    factor: UUID | None = None
    role: Role = Role.MEMBER
    suspended: str | None = None
    erased: bool = False

    @property
    def administers(self) -> bool:
        return self.role is Role.ADMIN and self.suspended is None

    @property
    def moderates(self) -> bool:
        return self.role is not Role.MEMBER and self.suspended is None


def evolve(account: Account, event: AccountEvent) -> Account:
    match event:
        case AccountRegistered(account=id):
            return Account(id=id)
        case AccountLoggedIn(session=session):
            return replace(account, sessions=(*account.sessions, session)[-MAX_SESSIONS:])
        case AccountLoggedOut(session=session) | SessionRevoked(session=session):
            return replace(account, sessions=tuple(open for open in account.sessions if open != session))
        case PasswordChanged(password=password, kept=kept, epoch=epoch):
            return replace(_alone(account, kept, epoch), password=password)
        case EmailChanged(email=email, kept=kept, epoch=epoch):
            return replace(_alone(account, kept, epoch), email=email)
        case EmailConfirmed(email=email):
            return replace(account, confirmed=email)
        case IdentityLinked(identity=identity):
            return replace(account, identity=identity)
        case IdentityUnlinked():
            return replace(account, identity=None)
        case SecondFactorOn(factor=factor):
            return replace(account, factor=factor)
        case SecondFactorOff():
            return replace(account, factor=None)
        case SessionsEnded(kept=kept, epoch=epoch):
            return _alone(account, kept, epoch)
        case RoleGiven(role=role):
            return replace(account, role=role)
        case AccountSuspended(reason=reason, epoch=epoch):
            return replace(_alone(account, None, epoch), suspended=reason)
        case AccountReinstated():
            return replace(account, suspended=None)
        case AccountErased():
            return Account(id=account.id, epoch=account.epoch, erased=True)


ACCOUNT: Decider[Account, AccountEvent] = Decider(
    "account", Account(), evolve, lambda account: account.id, shape=5
)


def register(account: Account, *, id: AccountId, username: Personal) -> list[AccountEvent]:
    """Join under a name that nobody else has."""
    if account.id is not None:
        raise Conflict("This account exists already.")
    return [AccountRegistered(account=id, username=username)]


def log_in(account: Account, *, session: SessionId, epoch: int) -> list[AccountEvent]:
    """Begin a session. That the password was right in that epoch is known by the caller."""
    if account.id is None or account.erased or account.epoch != epoch:
        raise NotAuthenticated("Wrong login or password.")
    if account.suspended is not None:
        raise NotAllowed(f"This account is suspended: {account.suspended}")
    if session in account.sessions:
        return []
    return [AccountLoggedIn(session=session)]


def log_out(account: Account, *, session: SessionId) -> list[AccountEvent]:
    """End a session. Ending it twice is not an error."""
    return [AccountLoggedOut(session=session)] if session in account.sessions else []


def revoke(account: Account, *, session: SessionId) -> list[AccountEvent]:
    """Close a session whose refresh token appeared a second time."""
    return [SessionRevoked(session=session)] if session in account.sessions else []


def change_password(account: Account, *, password: UUID, by: SessionId) -> list[AccountEvent]:
    """Whoever else is logged in may know the old one: they are logged out."""
    at_home(account, by)
    return [PasswordChanged(password=password, kept=by, epoch=account.epoch + 1)]


def reset_password(account: Account, *, password: UUID, epoch: int) -> list[AccountEvent]:
    """Take another one without knowing the one before: the wish was mailed in that epoch. It logs out everybody."""
    if account.id is None or account.erased or account.epoch != epoch:
        raise NotAuthenticated(LINK_OVER)
    return [PasswordChanged(password=password, kept=None, epoch=account.epoch + 1)]


def confirm_email(account: Account, *, email: StreamId, registered: StreamId | None) -> list[AccountEvent]:
    """The address that was mailed is still the account's. `registered`: the stream of its first one."""
    if account.id is None or account.erased or email != (account.email or registered):
        raise NotAuthenticated(LINK_OVER)
    return [] if account.confirmed == email else [EmailConfirmed(email=email)]


def take_email(account: Account, *, email: StreamId, seen: StreamId | None, epoch: int) -> list[AccountEvent]:
    """Go by an address that one has shown to be one's own: it was wished for in that epoch. It logs out everybody."""
    if account.id is None or account.erased or account.epoch != epoch or account.email != seen:
        raise NotAuthenticated(LINK_OVER)
    return [EmailChanged(email=email, kept=None, epoch=epoch + 1), EmailConfirmed(email=email)]


def turn_on(account: Account, *, factor: UUID, by: SessionId) -> list[AccountEvent]:
    """Ask for a code at each log-in. That the device makes the right ones is known by the caller."""
    at_home(account, by)
    if account.factor not in (None, factor):
        raise Conflict("There is a second factor already. Turn it off first.")
    return [] if account.factor == factor else [SecondFactorOn(factor=factor)]


def turn_off(account: Account, *, by: SessionId) -> list[AccountEvent]:
    at_home(account, by)
    return [] if account.factor is None else [SecondFactorOff()]


def change_email(
    account: Account, *, email: StreamId, seen: StreamId | None, by: SessionId
) -> list[AccountEvent]:
    """Go by another address than the one that was `seen`. It logs out everybody else."""
    at_home(account, by)
    if account.email != seen:
        raise Conflict("The e-mail address has been changed by somebody else just now.")
    return [EmailChanged(email=email, kept=by, epoch=account.epoch + 1)]


def end_others(account: Account, *, by: SessionId) -> list[AccountEvent]:
    """Log out everywhere else."""
    at_home(account, by)
    return [] if account.sessions == (by,) else [SessionsEnded(kept=by, epoch=account.epoch + 1)]


def leave(account: Account, *, with_published: bool) -> list[AccountEvent]:
    """Be forgotten at one's own wish. Somebody has to be left who administers the whole."""
    if account.role is Role.ADMIN and not account.erased:
        raise Conflict("You administer the whole. Another administrator has to take that from you first.")
    return erase(account, with_published=with_published)


def erase(account: Account, *, with_published: bool) -> list[AccountEvent]:
    """Forget the person. What they did stays in the history, done by nobody one could name."""
    if account.id is None:
        raise NotFound("There is no such account.")
    return [] if account.erased else [AccountErased(with_published=with_published)]


def at_home(account: Account, session: SessionId) -> None:
    """Raises NotAuthenticated unless the session goes on."""
    if account.id is None or account.erased or session not in account.sessions:
        raise NotAuthenticated(SESSION_OVER)


def _alone(account: Account, kept: SessionId | None, epoch: int) -> Account:
    sessions = tuple(session for session in account.sessions if session == kept)
    return replace(account, sessions=sessions, epoch=epoch)
