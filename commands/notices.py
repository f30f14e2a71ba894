"""What the owner of an account is told by mail when a way into it has changed: it may not have been they."""

from enum import StrEnum

from commands.attempts import attempt
from commands.identity_ports import Mail
from commands.known_accounts import Known, is_reachable, known
from commands.names import canonical_email
from commands.needs import Needs
from domain.ids import AccountId
from domain.refusals import TooMany

MAILS = 3  # that strangers can have sent to one address, within the window of attempts


class Notice(StrEnum):
    PASSWORD = "password"
    EMAIL = "email"
    FACTOR_OFF = "factor off"
    LINKED = "linked"
    UNLINKED = "unlinked"


NOT_YOU = (
    "If it was not you, somebody else can get in: take another password by `forgotten password`, end all sessions, or "
    "ask whoever runs this server.\n"
)
TEXTS = {
    Notice.PASSWORD: ("Your password was changed", "The password of your account {username} was changed."),
    Notice.EMAIL: (
        "Your e-mail address was changed",
        "Your account {username} goes by another e-mail address from now on. This one is not used any more.",
    ),
    Notice.FACTOR_OFF: (
        "Your second factor is off",
        "No code is asked for any more when somebody logs in to your account {username}.",
    ),
    Notice.LINKED: (
        "Another way to log in",
        "From now on one can log in to your account {username} by the provider as well.",
    ),
    Notice.UNLINKED: (
        "A way to log in less",
        "One cannot log in to your account {username} by the provider any more.",
    ),
}
WANTED = (
    "You have an account already",
    "Somebody, you perhaps, wanted this address for an account. It has one already: {username}. If you have "
    "forgotten its password, ask for another one. If it was not you, there is nothing to do.\n",
)


async def tell(found: Known, notice: Notice, needs: Needs, *, reachable: bool | None = None) -> None:
    """To the address that the account had when it was `found`, if it was its own: `reachable`, where that is known."""
    if not (await is_reachable(found, needs) if reachable is None else reachable):
        return
    subject, text = TEXTS[notice]
    await _mail(found, subject, f"{text}\n\n{NOT_YOU}", needs)


async def tell_wanted(id: AccountId, needs: Needs) -> None:
    """Whoever has an address hears of it when somebody else wants it; so often only."""
    found = await known(id, needs)
    try:
        await attempt("mails", canonical_email(found.email), "", needs, most=MAILS)
    except TooMany:
        return
    await _mail(found, *WANTED, needs)


async def _mail(found: Known, subject: str, text: str, needs: Needs) -> None:
    if found.credentials is None or not found.email:
        return
    body = text.format(username=found.credentials.username)
    mail = Mail(id=needs.new_id(), account=found.id, to=found.email, subject=subject, body=body)
    await needs.mails.put(mail, needs.now())
