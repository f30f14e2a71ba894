"""Forgetting an account. What is in the log stays; what of it was personal can never be read again.

First the events, then the list of erasures, then the key: whoever dies in between has left a note of what is to be
finished, and a backup of before is brought back only together with that list.
"""

from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

from commands.known_accounts import proven
from commands.needs import Command, Needs
from commands.ports import Outdated
from commands.streams import Accepted, Change, Context
from commands.webhooks import DeleteWebhook, delete_webhook
from domain import account, reservation
from domain.account import ACCOUNT, AccountEvent
from domain.ids import AccountId, Position, SessionId
from domain.refusals import NotFound
from domain.reservation import RESERVATION, NameReserved


class EraseAccount(Command, frozen=True, kw_only=True):
    """`password`: the account's, said once more. `with_published`: what everybody may see goes as well."""

    account: AccountId
    password: str
    session: SessionId | None = None
    with_published: bool = False


class FinishErasure(Command, frozen=True, kw_only=True):
    """Whatever is left to do about an account that is on the list, or whose erasure is in the log."""

    account: AccountId


async def erase_account(command: EraseAccount, context: Context, needs: Needs) -> Accepted:
    """Raises Conflict for an administrator; NotAllowed, TooMany. Again, it changes nothing."""
    state, _ = await needs.streams.load(ACCOUNT, command.account)
    if not state.erased:
        await proven(command.account, command.password, needs, command.session)
    accepted = await _record(command.account, context, needs, account.leave, command.with_published)
    await _forget(command.account, context, needs)
    return accepted


async def finish_erasure(command: FinishErasure, context: Context, needs: Needs) -> Accepted:
    """Also for a log that was restored and knows nothing of it yet. Raises NotFound."""
    accepted = await _record(command.account, context, needs, account.erase, False)
    await _forget(command.account, context, needs)
    return accepted


async def _record(
    id: AccountId, context: Context, needs: Needs, decide: Callable[..., list[AccountEvent]], published: bool
) -> Accepted:
    """An account that has got another address meanwhile is looked at again: its names go with it."""
    while True:
        state, version = await needs.streams.load(ACCOUNT, id)
        taken_since = [name for name in (state.email, state.confirmed, state.identity) if name is not None]
        names = dict.fromkeys(
            [*await _names(id, needs), *taken_since]
        )  # an address may have been taken again
        try:
            return await needs.streams.transact(
                context,
                Change(
                    ACCOUNT,
                    id,
                    lambda state: decide(state, with_published=published),
                    expected=version,
                ),
                *[
                    Change(RESERVATION, name, lambda state: reservation.release(state, account=id))
                    for name in names
                ],
            )
        except Outdated:
            continue


async def _forget(id: AccountId, context: Context, needs: Needs) -> None:
    await needs.erasures.note(id, needs.now())
    await needs.accounts.erase(id)
    alone = Context(actor=context.actor, correlation=context.correlation)
    for webhook in await needs.webhooks.owned(id):
        with suppress(NotFound):  # its address was kept, but it never came into being
            await delete_webhook(DeleteWebhook(by=id, webhook=webhook), alone, needs)


async def _names(id: AccountId, needs: Needs) -> list[UUID]:
    """The streams of the names it holds: its registration reserved them just before it.

    Asked of the log, as the names themselves may be forgotten already.
    """
    registered = (await needs.streams.log.read(id))[:1]
    places = [Position(each.position - before) for each in registered for before in (2, 1)]
    reserved = [await needs.streams.log.at(place) for place in places]
    return [
        each.stream
        for each in reserved
        if each is not None and isinstance(each.event, NameReserved) and each.event.account == id
    ]
