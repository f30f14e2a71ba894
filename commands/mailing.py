"""Mails that an account is sent, and what they let whoever reads them do: another password, an address confirmed.

A token works once and for an hour, and is kept as a hash. Whether there is an account is told by mail only.
"""

from uuid import UUID

from msgspec import Struct

from commands.attempts import attempt
from commands.claimed_addresses import claim
from commands.identity_ports import MailToken
from commands.known_accounts import Known, email_stream, holder, is_reachable, known
from commands.mailed_tokens import CONFIRM, RESET, Purpose, used, write
from commands.names import canonical_email, check_password
from commands.needs import Command, Needs
from commands.notices import MAILS, Notice, tell
from commands.streams import Accepted, Change, Context
from domain import account, reservation
from domain.account import ACCOUNT, Account, AccountEvent, PasswordChanged
from domain.ids import AccountId, account_actor
from domain.refusals import DomainError
from domain.reservation import RESERVATION, Reservation, ReservationEvent


class ForgetPassword(Command, frozen=True, kw_only=True):
    """Ask for a mail that lets one take another password. `address`: of the network, it is counted by."""

    email: str
    address: str = ""


class ResetPassword(Command, frozen=True, kw_only=True):
    token: str
    new_password: str


class AskConfirmation(Command, frozen=True, kw_only=True):
    account: AccountId


class ConfirmEmail(Command, frozen=True, kw_only=True):
    token: str


class Reset(Struct, frozen=True):
    account: AccountId
    epoch: int
    accepted: Accepted


class Confirmed(Struct, frozen=True):
    """`account`, `epoch`: where it goes by another address now, which has ended all sessions."""

    accepted: Accepted
    account: AccountId | None = None
    epoch: int = 0


async def may_be_mailed(email: str, address: str, needs: Needs) -> None:
    """Raises TooMany, for an address that nobody has as well."""
    await attempt("mails", canonical_email(email), address, needs, most=MAILS)


async def forget_password(command: ForgetPassword, context: Context, needs: Needs) -> None:
    """Does nothing for an address that nobody has. Raises nothing but faults."""
    id = await holder("email", canonical_email(command.email), needs)
    if id is not None:
        found = await known(id, needs)
        await write(found, RESET, found.email, email_stream(found, needs), needs)


async def reset_password(command: ResetPassword, context: Context, needs: Needs) -> Reset:
    """Raises Invalid, NotAuthenticated. The token is used up only by a password that can be taken."""
    if (earlier := await needs.streams.answered(context)) is not None:
        return await _reset_before(earlier, needs)
    check_password(command.new_password, "new_password")
    token = await used(command.token, Purpose.RESET, needs)
    found = await known(token.account, needs)
    id, replaced = needs.new_id(), list[UUID | None]()
    await needs.accounts.keep_password(token.account, id, await needs.passwords.hash(command.new_password))

    def decide(state: Account) -> list[AccountEvent]:
        replaced[:] = [state.password]
        return account.reset_password(state, password=id, epoch=token.epoch)

    try:
        accepted = await needs.streams.transact(
            _by(token.account, context), Change(ACCOUNT, token.account, decide)
        )
    except DomainError:
        await needs.accounts.forget_password(token.account, id)
        raise
    for old in replaced:
        await needs.accounts.forget_password(token.account, old)
    await needs.accounts.end_other_sessions(token.account, None)
    await tell(found, Notice.PASSWORD, needs)
    return Reset(token.account, token.epoch + 1, accepted)


async def ask_confirmation(command: AskConfirmation, context: Context, needs: Needs) -> None:
    """Of the address that is wished for, if there is one. Raises TooMany. Does nothing for one that is confirmed."""
    found = await known(command.account, needs)
    wished = found.wished if needs.limits.confirm_addresses else None
    if wished is None and found.state.confirmed == email_stream(found, needs):
        return
    if needs.limits.confirm_addresses:
        await claim(command.account, wished or found.email, needs)
    else:
        await may_be_mailed(found.email, "", needs)
        await write(found, CONFIRM, found.email, email_stream(found, needs), needs)


async def confirm_email(command: ConfirmEmail, context: Context, needs: Needs) -> Confirmed:
    """An address that was wished for is the account's own from then on. Raises NotAuthenticated, Conflict."""
    if (earlier := await needs.streams.answered(context)) is not None:
        return Confirmed(earlier)
    token = await used(command.token, Purpose.CONFIRM, needs)
    found, by = await known(token.account, needs), _by(token.account, context)
    registered = email_stream(found, needs)
    taken = Change(
        RESERVATION,
        token.email,
        lambda state: reservation.reserve(state, account=token.account, what="e-mail address"),
    )
    if (
        found.credentials is not None
        and token.email != registered
        and token.email in found.credentials.emails
    ):
        return await _move(found, token, taken, by, needs)

    def decide(state: Account) -> list[AccountEvent]:
        return account.confirm_email(state, email=token.email, registered=registered)

    return Confirmed(await needs.streams.transact(by, Change(ACCOUNT, token.account, decide), taken))


async def _move(
    found: Known, token: MailToken, taken: Change[Reservation, ReservationEvent], by: Context, needs: Needs
) -> Confirmed:
    """To the address that was wished for."""
    reachable, old = await is_reachable(found, needs), email_stream(found, needs)

    def decide(state: Account) -> list[AccountEvent]:
        return account.take_email(state, email=token.email, seen=found.state.email, epoch=token.epoch)

    def release(state: Reservation) -> list[ReservationEvent]:
        return reservation.release(state, account=found.id)

    accepted = await needs.streams.transact(
        by, Change(ACCOUNT, found.id, decide), taken, Change(RESERVATION, old, release)
    )
    await needs.accounts.end_other_sessions(found.id, None)
    if not accepted.repeated:
        await tell(found, Notice.EMAIL, needs, reachable=reachable)
        await needs.accounts.forget_email(found.id, found.state.email)
    return Confirmed(accepted, found.id, token.epoch + 1)


def _by(id: AccountId, context: Context) -> Context:
    return Context(actor=account_actor(id), correlation=context.correlation, key=context.key)


async def _reset_before(accepted: Accepted, needs: Needs) -> Reset:
    recorded = await needs.streams.log.at(accepted.first)
    assert recorded is not None
    assert isinstance(recorded.event, PasswordChanged)
    return Reset(AccountId(recorded.stream), recorded.event.epoch, accepted)
