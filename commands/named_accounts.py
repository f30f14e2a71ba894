"""Accounts as people name them."""

from collections.abc import Sequence
from uuid import UUID

from commands.known_accounts import holder
from commands.names import canonical_username
from commands.needs import Needs
from domain.ids import AccountId
from domain.refusals import FieldError, Invalid, NotFound


async def named_accounts(names: Sequence[str], needs: Needs, *, field: str) -> tuple[AccountId, ...]:
    """By id, or by the name they log in with; an address is no name to call others by. Raises Invalid."""
    found: list[AccountId] = []
    for number, name in enumerate(names):
        account = await _account(name.strip(), needs)
        if account is None:
            raise Invalid(
                "There is no such account.", FieldError(f"{field}.{number}", "Nobody has this name.")
            )
        found.append(account)
    return tuple(found)


async def account_named(name: str, needs: Needs) -> AccountId:
    """By id or by name. Raises NotFound."""
    account = await _account(name.strip(), needs)
    if account is None:
        raise NotFound("There is no such account.")
    return account


async def _account(name: str, needs: Needs) -> AccountId | None:
    try:
        known = await needs.accounts.by_id(AccountId(UUID(name)))
        return known.account if known else None
    except ValueError:
        pass
    if not name or "@" in name or not name.isprintable():
        return None
    return await holder("username", canonical_username(name), needs)
