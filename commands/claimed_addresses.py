"""An address that somebody says is theirs: where addresses are confirmed, it is once they have read what is sent there.

Until then nobody is told whether it is somebody's: the answer is the same, and as late; the rest stands in a mail.
"""

from commands.attempts import attempt
from commands.known_accounts import holder, known
from commands.mailed_tokens import CONFIRM, Purpose, Text, write
from commands.names import canonical_email
from commands.needs import Needs
from commands.notices import MAILS
from domain.ids import AccountId

WANTED = Text(
    Purpose.RESET,
    "You have an account already",
    "Somebody, you perhaps, wanted this address for an account. It has one already: {username}. If you have forgotten "
    "its password, take another one.\n\n{how}\n\nThis works once, within an hour. If it was not you, there is nothing "
    "to do.\n",
)


async def claim(account: AccountId, email: str, needs: Needs) -> None:
    """As much is done for an address that somebody has as for one that is free. Raises TooMany."""
    canonical = canonical_email(email)
    await attempt("mails", canonical, "", needs, most=MAILS)
    stream = needs.secrets.name_id("email", canonical)
    other = await holder("email", canonical, needs)
    found = await known(other or account, needs)
    if other in (None, account):
        await write(found, CONFIRM, email, stream, needs)
    else:  # as its owner writes it: another spelling may be another mailbox, and this lets one in
        await write(found, WANTED, found.email, stream, needs)
