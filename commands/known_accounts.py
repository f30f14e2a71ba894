"""Who somebody is: whose name it is says the log, and which password and address of theirs count."""

from datetime import timedelta
from uuid import UUID

from msgspec import Struct

from commands.attempts import attempt, right
from commands.identity_ports import Credentials
from commands.names import canonical_email
from commands.needs import Needs
from domain.account import ACCOUNT, Account
from domain.ids import AccountId, SessionId
from domain.refusals import NotAllowed, NotAuthenticated
from domain.reservation import RESERVATION

NOBODY = AccountId(UUID(int=0))
WRONG_PASSWORD = "The password is wrong."
NO_PASSWORD = "-"
"""In the place of the hash where somebody has come by the provider and never had one."""
FRESH = timedelta(minutes=10)
LOG_IN_AGAIN = "You have no password: log in again by the provider, and do this within ten minutes."


class Known(Struct, frozen=True):
    """An account as the log has it, with what is kept of it beside the log. NOBODY has nothing."""

    id: AccountId
    state: Account
    credentials: Credentials | None

    @property
    def has_password(self) -> bool:
        if self.credentials is None or self.state.password is not None:
            return True
        return self.credentials.password_hash != NO_PASSWORD

    @property
    def password_hash(self) -> str | None:
        if self.credentials is None or not self.has_password:
            return None
        if self.state.password is None:
            return self.credentials.password_hash
        return self.credentials.passwords.get(self.state.password)

    @property
    def wished(self) -> str | None:
        """The address that it would like to go by, where addresses are confirmed."""
        emails = {} if self.credentials is None else self.credentials.emails
        return next((email for name, email in emails.items() if name != self.state.email), None)

    @property
    def email(self) -> str:
        if self.credentials is None:
            return ""
        if self.state.email is None:
            return self.credentials.email
        return self.credentials.emails.get(self.state.email, "")


async def holder(kind: str, canonical: str, needs: Needs) -> AccountId | None:
    """Who has the name: `kind` is username or email."""
    state, _ = await needs.streams.load(RESERVATION, needs.secrets.name_id(kind, canonical))
    return state.holder


def email_stream(found: Known, needs: Needs) -> UUID:
    """The reservation of the address that an account goes by."""
    return found.state.email or needs.secrets.name_id("email", canonical_email(found.email))


async def is_reachable(found: Known, needs: Needs) -> bool:
    """Whether its address is its own, and nobody else may be annoyed by what is sent there."""
    state, _ = await needs.streams.load(RESERVATION, email_stream(found, needs))
    return state.holder == found.id


async def known(id: AccountId, needs: Needs) -> Known:
    """What is kept is asked for last: it is there before the event that makes it count."""
    state, _ = await needs.streams.load(ACCOUNT, id)
    return Known(id, state, await needs.accounts.by_id(id))


async def proven(id: AccountId, password: str, needs: Needs, session: SessionId | None) -> Known:
    """The account, once it has said its password again; who has none has begun the session just now.

    Raises NotAllowed, NotAuthenticated, TooMany.
    """
    trying = await attempt("password", str(id), "", needs)
    found = await known(id, needs)
    if not found.has_password:
        await _begun_just_now(found, session, needs)
    elif not await needs.passwords.verify(password, found.password_hash):
        raise NotAllowed(WRONG_PASSWORD)
    await right(trying, needs)
    if found.credentials is None:
        raise NotAuthenticated("This account does not exist (any more).")
    return found


async def _begun_just_now(found: Known, session: SessionId | None, needs: Needs) -> None:
    """Raises NotAllowed."""
    rows = [] if session not in found.state.sessions else await needs.accounts.sessions(found.id)
    if not any(row.session == session and needs.now() - row.began_at <= FRESH for row in rows):
        raise NotAllowed(LOG_IN_AGAIN)
