"""Who somebody is: whose name it is says the log, and which password and address of theirs count."""

from uuid import UUID

from msgspec import Struct

from commands.attempts import attempt, right
from commands.identity_ports import Credentials
from commands.needs import Needs
from domain.account import ACCOUNT, Account
from domain.ids import AccountId
from domain.refusals import NotAllowed, NotAuthenticated
from domain.reservation import RESERVATION

NOBODY = AccountId(UUID(int=0))
WRONG_PASSWORD = "The password is wrong."


class Known(Struct, frozen=True):
    """An account as the log has it, with what is kept of it beside the log. NOBODY has nothing."""

    id: AccountId
    state: Account
    credentials: Credentials | None

    @property
    def password_hash(self) -> str | None:
        if self.credentials is None:
            return None
        if self.state.password is None:
            return self.credentials.password_hash
        return self.credentials.passwords.get(self.state.password)

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


async def known(id: AccountId, needs: Needs) -> Known:
    """What is kept is asked for last: it is there before the event that makes it count."""
    state, _ = await needs.streams.load(ACCOUNT, id)
    return Known(id, state, await needs.accounts.by_id(id))


async def proven(id: AccountId, password: str, needs: Needs) -> Known:
    """The account, once it has said its password again. Raises NotAllowed, NotAuthenticated, TooMany."""
    trying = await attempt("password", str(id), "", needs)
    found = await known(id, needs)
    if not await needs.passwords.verify(password, found.password_hash):
        raise NotAllowed(WRONG_PASSWORD)
    await right(trying, needs)
    if found.credentials is None:
        raise NotAuthenticated("This account does not exist (any more).")
    return found
