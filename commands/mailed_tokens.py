"""What a mail lets whoever reads it do: take another password, show that an address is theirs. Once, within an hour."""

from datetime import timedelta
from enum import StrEnum

from msgspec import Struct

from commands.identity_ports import Mail, MailToken
from commands.known_accounts import Known
from commands.needs import Needs
from domain.account import LINK_OVER
from domain.ids import StreamId
from domain.refusals import NotAuthenticated

GOOD_FOR = timedelta(hours=1)


class Purpose(StrEnum):
    RESET = "reset"
    CONFIRM = "confirm"


class Text(Struct, frozen=True):
    """`body` has places for {username} and {how}."""

    purpose: Purpose
    subject: str
    body: str


RESET = Text(
    Purpose.RESET,
    "Another password",
    "Somebody, you perhaps, wants another password for your account {username}.\n\n{how}\n\n"
    "This works once, within an hour. If it was not you, do nothing: your password stays as it is.\n",
)
CONFIRM = Text(
    Purpose.CONFIRM,
    "Your e-mail address",
    "Please confirm that this is the address of your account {username}.\n\n{how}\n\n"
    "This works once, within an hour. If you have no such account, do nothing.\n",
)


async def write(found: Known, text: Text, to: str, stream: StreamId, needs: Needs) -> None:
    """`stream`: the reservation of the address that it goes to."""
    if found.credentials is None or not to:
        return
    token = needs.secrets.random_token()
    await needs.mails.keep_token(
        MailToken(
            token_hash=_hash(token, text.purpose, needs),
            account=found.id,
            purpose=text.purpose,
            email=stream,
            epoch=found.state.epoch,
            expires_at=needs.now() + GOOD_FOR,
        )
    )
    how = needs.limits.mail_link.format(purpose=text.purpose, token=token)
    body = text.body.format(username=found.credentials.username, how=how)
    mail = Mail(id=needs.new_id(), account=found.id, to=to, subject=text.subject, body=body)
    await needs.mails.put(mail, needs.now())


async def used(token: str, purpose: Purpose, needs: Needs) -> MailToken:
    """Raises NotAuthenticated."""
    found = await needs.mails.use_token(_hash(token, purpose, needs))
    if found is None or found.purpose != purpose or found.expires_at <= needs.now():
        raise NotAuthenticated(LINK_OVER)
    return found


def _hash(token: str, purpose: Purpose, needs: Needs) -> bytes:
    return needs.secrets.hash_token(f"mailed {purpose} {token}")
