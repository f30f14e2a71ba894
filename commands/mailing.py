"""Mails that an account is sent, and what they let whoever reads them do: another password, an address confirmed.

A token works once and for an hour, and is kept as a hash. Whether there is an account is told by mail only.
"""

from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from commands.access import email_stream
from commands.attempts import attempt
from commands.identity_ports import Mail, MailToken
from commands.known_accounts import Known, holder, known
from commands.names import canonical_email, check_password
from commands.needs import Command, Needs
from commands.notices import MAILS, Notice, tell
from commands.streams import Accepted, Change, Context
from domain import account
from domain.account import ACCOUNT, LINK_OVER, Account, AccountEvent, PasswordChanged
from domain.ids import AccountId, account_actor
from domain.refusals import DomainError, NotAuthenticated

GOOD_FOR = timedelta(hours=1)


class Purpose(StrEnum):
    RESET = "reset"
    CONFIRM = "confirm"


TEXTS = {
    Purpose.RESET: (
        "Another password",
        "Somebody, you perhaps, wants another password for your account {username}.\n\n{how}\n\n"
        "This works once, within an hour. If it was not you, do nothing: your password stays as it is.\n",
    ),
    Purpose.CONFIRM: (
        "Your e-mail address",
        "Please confirm that this is the address of your account {username}.\n\n{how}\n\n"
        "This works once, within an hour. If you have no such account, do nothing.\n",
    ),
}


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


async def may_be_mailed(email: str, address: str, needs: Needs) -> None:
    """Raises TooMany, for an address that nobody has as well."""
    await attempt("mails", canonical_email(email), address, needs, most=MAILS)


async def forget_password(command: ForgetPassword, context: Context, needs: Needs) -> None:
    """Does nothing for an address that nobody has. Raises nothing but faults."""
    id = await holder("email", canonical_email(command.email), needs)
    if id is not None:
        await _mail(await known(id, needs), Purpose.RESET, needs)


async def reset_password(command: ResetPassword, context: Context, needs: Needs) -> Reset:
    """Raises Invalid, NotAuthenticated. The token is used up only by a password that can be taken."""
    if (earlier := await needs.streams.answered(context)) is not None:
        return await _reset_before(earlier, needs)
    check_password(command.new_password, "new_password")
    token = await _used(command.token, Purpose.RESET, needs)
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
    """Raises TooMany. Does nothing for an address that is confirmed already."""
    found = await known(command.account, needs)
    if found.state.confirmed is None or found.state.confirmed != email_stream(found, needs):
        await may_be_mailed(found.email, "", needs)
        await _mail(found, Purpose.CONFIRM, needs)


async def confirm_email(command: ConfirmEmail, context: Context, needs: Needs) -> Accepted:
    """Raises NotAuthenticated."""
    if (earlier := await needs.streams.answered(context)) is not None:
        return earlier
    token = await _used(command.token, Purpose.CONFIRM, needs)
    found = await known(token.account, needs)
    registered = email_stream(found, needs)

    def decide(state: Account) -> list[AccountEvent]:
        return account.confirm_email(state, email=token.email, registered=registered)

    return await needs.streams.transact(_by(token.account, context), Change(ACCOUNT, token.account, decide))


async def _used(text: str, purpose: Purpose, needs: Needs) -> MailToken:
    token = await needs.mails.use_token(_hash(text, purpose, needs))
    if token is None or token.purpose != purpose or token.expires_at <= needs.now():
        raise NotAuthenticated(LINK_OVER)
    return token


async def _mail(found: Known, purpose: Purpose, needs: Needs) -> None:
    if found.credentials is None or not found.email:
        return
    text = needs.secrets.random_token()
    await needs.mails.keep_token(
        MailToken(
            token_hash=_hash(text, purpose, needs),
            account=found.id,
            purpose=purpose,
            email=email_stream(found, needs),
            epoch=found.state.epoch,
            expires_at=needs.now() + GOOD_FOR,
        )
    )
    subject, body = TEXTS[purpose]
    how = needs.limits.mail_link.format(purpose=purpose, token=text)
    body = body.format(username=found.credentials.username, how=how)
    await needs.mails.put(
        Mail(id=needs.new_id(), account=found.id, to=found.email, subject=subject, body=body), needs.now()
    )


def _hash(text: str, purpose: Purpose, needs: Needs) -> bytes:
    return needs.secrets.hash_token(f"mailed {purpose} {text}")


def _by(id: AccountId, context: Context) -> Context:
    return Context(actor=account_actor(id), correlation=context.correlation, key=context.key)


async def _reset_before(accepted: Accepted, needs: Needs) -> Reset:
    recorded = await needs.streams.log.at(accepted.first)
    assert recorded is not None
    assert isinstance(recorded.event, PasswordChanged)
    return Reset(AccountId(recorded.stream), recorded.event.epoch, accepted)
