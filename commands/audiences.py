"""For whom things are that are not for everybody: as administrators name them, and whether somebody is among them."""

from msgspec import Struct

from commands.named_accounts import named_accounts
from commands.needs import Needs
from domain.account import ACCOUNT, Role
from domain.audience import ACCOUNTS, MAX_ACCOUNTS, Audience
from domain.ids import AccountId
from domain.refusals import FieldError, Invalid


class Restriction(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whoever has one of the roles, and the accounts, by id or username."""

    roles: tuple[Role, ...] = ()
    accounts: tuple[str, ...] = ()


class Asker:
    """An account that asks for something. Its role is looked up where that decides, once."""

    def __init__(self, account: AccountId, needs: Needs) -> None:
        self._account = account
        self._needs = needs
        self._role: Role | None = None

    async def belongs_to(self, audience: Audience | None) -> bool:
        if audience is None or self._account in audience.accounts:
            return True
        if not audience.roles:
            return False
        if self._role is None:
            state, _ = await self._needs.streams.load(ACCOUNT, self._account)
            self._role = state.role
        return audience.has(self._account, self._role)


async def audience(restriction: Restriction | None, needs: Needs) -> Audience | None:
    """None: everybody. Raises Invalid."""
    if restriction is None:
        return None
    if len(restriction.accounts) > MAX_ACCOUNTS:
        raise Invalid("Too many are named.", FieldError("audience.accounts", ACCOUNTS))
    accounts = await named_accounts(restriction.accounts, needs, field="audience.accounts")
    return Audience(roles=restriction.roles, accounts=accounts)
