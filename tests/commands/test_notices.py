"""The owner of an account hears of what opens or closes a way into it, and nobody else does."""

from contextlib import suppress
from uuid import uuid4

import pytest

from commands.access import ChangeEmail, ChangePassword
from commands.accounts import Registered
from commands.identity_ports import Mail
from commands.mailing import ForgetPassword, ResetPassword
from commands.notices import MAILS
from commands.people import ChangeAccount
from commands.second_factor import TurnOffFactor
from commands.sign_on import Unlink
from domain.ids import SessionId
from domain.refusals import Conflict, DomainError, NotAllowed
from tests.commands.ground import Ground
from tests.commands.test_access import session_of
from tests.commands.test_accounts import PASSWORD, joining, logged_in
from tests.commands.test_mailing import mailed
from tests.commands.test_second_factor import turned_on
from tests.commands.test_sign_on import Home, ann, home, linked

__all__ = ["ann", "home"]  # fixtures

NEW = "another correct horse"


def told(ground: Ground) -> list[tuple[str, str]]:
    """To whom, and of what; afterwards nothing waits."""
    waiting: list[Mail] = ground.mails.waiting
    found = [(mail.to, mail.subject) for mail in waiting]
    assert all("our account Ann" in mail.body or "already: " in mail.body for mail in waiting)
    assert all("{" not in mail.body for mail in waiting)
    waiting.clear()
    return found


@pytest.fixture
async def session(ground: Ground, ann: Registered) -> SessionId:
    return session_of(ground, await logged_in(ground))


async def test_another_password_is_told_of_once(ground: Ground, ann: Registered, session: SessionId) -> None:
    wish = ChangePassword(account=ann.id, session=session, password=PASSWORD, new_password=NEW)
    for _ in range(2):  # the same request, sent twice
        with suppress(NotAllowed):
            await ground.wish(wish, key="once")
    assert told(ground) == [("ann@example.com", "Your password was changed")]
    await ground.wish(ForgetPassword(email="ann@example.com"))
    await ground.wish(ResetPassword(token=mailed(ground), new_password=PASSWORD))
    assert told(ground) == [("ann@example.com", "Your password was changed")]


async def test_the_address_of_before_hears_of_the_new_one(
    ground: Ground, ann: Registered, session: SessionId
) -> None:
    for email in ("ann@example.org", "ann@example.net"):
        await ground.wish(ChangeEmail(account=ann.id, session=session, password=PASSWORD, email=email))
    subject = "Your e-mail address was changed"
    assert told(ground) == [("ann@example.com", subject), ("ann@example.org", subject)]


async def test_a_second_factor_that_goes_is_told_of_whoever_did_it(
    ground: Ground, ann: Registered, session: SessionId
) -> None:
    off = [("ann@example.com", "Your second factor is off")]
    _, codes = await turned_on(ground, ann, session)
    wish = TurnOffFactor(account=ann.id, session=session, password=PASSWORD, code=codes[0])
    await ground.wish(wish)
    assert told(ground) == off
    await ground.wish(wish)
    assert told(ground) == []  # there was none
    await turned_on(ground, ann, session)
    for _ in range(2):
        await ground.wish(ChangeAccount(account=ann.id, by=None, reason="Lost.", drop_factor=True))
    assert told(ground) == off


async def test_another_way_in_is_told_of(ground: Ground, home: Home, ann: Registered) -> None:
    session = await linked(ground, home, ann)
    assert told(ground) == [("ann@example.com", "Another way to log in")]
    await ground.wish(Unlink(account=ann.id, session=session, password=PASSWORD))
    assert told(ground) == [("ann@example.com", "A way to log in less")]


async def test_what_was_refused_is_not_told_of(ground: Ground, ann: Registered, session: SessionId) -> None:
    await ground.wish(joining("Bob", "bob@example.com"))
    stranger = SessionId(uuid4())
    for wish in (
        ChangePassword(account=ann.id, session=session, password="wrong", new_password=NEW),
        ChangePassword(account=ann.id, session=stranger, password=PASSWORD, new_password=NEW),
        ChangeEmail(account=ann.id, session=session, password=PASSWORD, email="bob@example.com"),
        TurnOffFactor(account=ann.id, session=stranger, password=PASSWORD, code="000000"),
    ):
        with pytest.raises(DomainError):
            await ground.wish(wish)
    assert told(ground) == [("bob@example.com", "You have an account already")]


async def test_whoever_has_an_address_hears_that_somebody_wants_it(ground: Ground, ann: Registered) -> None:
    for number in range(MAILS + 2):
        with pytest.raises(Conflict):
            await ground.wish(joining(f"other{number}", "ANN@example.com"))
    assert told(ground) == [("ann@example.com", "You have an account already")] * MAILS
    with pytest.raises(Conflict):  # a name is no secret
        await ground.wish(joining("ann", "other@example.com"))
    assert told(ground) == []
