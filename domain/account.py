"""An account: somebody who may log in. Its secrets and its e-mail address are kept outside the log.

What is personal in its events is sealed; erasing the account destroys the key.
"""

from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event
from domain.ids import AccountId, SessionId
from domain.personal import Personal
from domain.refusals import Conflict, NotAuthenticated, NotFound


class Role(StrEnum):
    MEMBER = "member"
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


class RoleGiven(Event, frozen=True, kw_only=True, tag="account.role_given.v1"):
    role: Role


class AccountErased(Event, frozen=True, kw_only=True, tag="account.erased.v1"):
    """All that was known of the person is gone, or about to go. `with_published`: what they have published too."""

    with_published: bool = False


AccountEvent: TypeAlias = (
    AccountRegistered | AccountLoggedIn | AccountLoggedOut | SessionRevoked | RoleGiven | AccountErased
)

MAX_SESSIONS = 50  # open at once; a client that never logs out must not make the state grow for ever


class Account(Struct, frozen=True):
    id: AccountId | None = None
    sessions: tuple[SessionId, ...] = ()
    role: Role = Role.MEMBER
    erased: bool = False


def evolve(account: Account, event: AccountEvent) -> Account:
    match event:
        case AccountRegistered(account=id):
            return Account(id=id)
        case AccountLoggedIn(session=session):
            return replace(account, sessions=(*account.sessions, session)[-MAX_SESSIONS:])
        case AccountLoggedOut(session=session) | SessionRevoked(session=session):
            return replace(account, sessions=tuple(open for open in account.sessions if open != session))
        case RoleGiven(role=role):
            return replace(account, role=role)
        case AccountErased():
            return Account(id=account.id, erased=True)


ACCOUNT: Decider[Account, AccountEvent] = Decider(
    "account", Account(), evolve, lambda account: account.id, shape=2
)


def register(account: Account, *, id: AccountId, username: Personal) -> list[AccountEvent]:
    """Join under a name that nobody else has."""
    if account.id is not None:
        raise Conflict("This account exists already.")
    return [AccountRegistered(account=id, username=username)]


def give_role(account: Account, *, role: Role) -> list[AccountEvent]:
    """Whether the giver may do so is known by the caller."""
    if account.id is None or account.erased:
        raise NotFound("There is no such account.")
    return [] if account.role == role else [RoleGiven(role=role)]


def log_in(account: Account, *, session: SessionId) -> list[AccountEvent]:
    """Begin a session. Whether the password was right is known by the caller."""
    if account.id is None or account.erased:
        raise NotAuthenticated("Wrong login or password.")
    if session in account.sessions:
        return []
    return [AccountLoggedIn(session=session)]


def log_out(account: Account, *, session: SessionId) -> list[AccountEvent]:
    """End a session. Ending it twice is not an error."""
    return [AccountLoggedOut(session=session)] if session in account.sessions else []


def revoke(account: Account, *, session: SessionId) -> list[AccountEvent]:
    """Close a session whose refresh token appeared a second time."""
    return [SessionRevoked(session=session)] if session in account.sessions else []


def erase(account: Account, *, with_published: bool) -> list[AccountEvent]:
    """Forget the person. What they did stays in the history, done by nobody one could name."""
    if account.id is None:
        raise NotFound("There is no such account.")
    return [] if account.erased else [AccountErased(with_published=with_published)]
