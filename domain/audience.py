"""Who may use something that is not for everybody."""

from msgspec import Struct

from domain.account import Role
from domain.ids import AccountId
from domain.refusals import FieldError, Invalid

MAX_ACCOUNTS = 200  # keeps an event small
ACCOUNTS = f"At most {MAX_ACCOUNTS} accounts."


class Audience(Struct, frozen=True, kw_only=True):
    """Whoever has one of these roles, and these accounts. Where there is none, a thing is for everybody."""

    roles: tuple[Role, ...] = ()
    accounts: tuple[AccountId, ...] = ()

    def has(self, account: AccountId, role: Role) -> bool:
        return account in self.accounts or role in self.roles


def settled(audience: Audience) -> Audience:
    """In order, each once. Raises Invalid when nobody is in it, or too many."""
    if not audience.roles and not audience.accounts:
        raise Invalid("Nobody is named.", FieldError("audience", "Name a role or an account."))
    if len(audience.accounts) > MAX_ACCOUNTS:
        raise Invalid("Too many are named.", FieldError("audience.accounts", ACCOUNTS))
    return Audience(roles=tuple(sorted(set(audience.roles))), accounts=tuple(sorted(set(audience.accounts))))
