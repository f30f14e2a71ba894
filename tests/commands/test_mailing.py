"""What is done by mail: once, in time, and nobody learns who has an account."""

import re
from datetime import timedelta

import pytest

from commands.access import ChangeEmail
from commands.accounts import LogIn, Refresh, Registered
from commands.mailed_tokens import GOOD_FOR
from commands.mailing import (
    MAILS,
    AskConfirmation,
    ConfirmEmail,
    ForgetPassword,
    ResetPassword,
    may_be_mailed,
)
from domain.account import ACCOUNT, EmailConfirmed
from domain.refusals import Invalid, NotAuthenticated, TooMany
from tests.commands.ground import Ground
from tests.commands.test_access import new_password, session_of
from tests.commands.test_accounts import PASSWORD, joining, logged_in

NEW = "another correct horse"


@pytest.fixture
async def ann(ground: Ground) -> Registered:
    registered: Registered = await ground.wish(joining())
    return registered


def mailed(ground: Ground) -> str:
    """The only token in the mails that wait."""
    text = "".join(mail.body for mail in ground.mails.waiting)
    ground.mails.waiting.clear()
    (token,) = re.findall(r": ([A-Za-z0-9_-]{40,})", text)
    return str(token)


async def forgotten(ground: Ground, email: str = " ANN@example.com ") -> str:
    await ground.wish(ForgetPassword(email=email))
    return mailed(ground)


async def test_whoever_reads_the_mail_takes_another_password(ground: Ground, ann: Registered) -> None:
    open_one = await logged_in(ground)
    await ground.wish(ForgetPassword(email=" ANN@example.com "))
    (mail,) = ground.mails.waiting
    assert (mail.to, mail.subject) == ("ann@example.com", "Another password")
    assert "account Ann." in mail.body
    await ground.wish(ResetPassword(token=mailed(ground), new_password=NEW))
    await logged_in(ground, password=NEW)
    with pytest.raises(NotAuthenticated):
        await logged_in(ground)
    with pytest.raises(NotAuthenticated):
        await ground.wish(Refresh(refresh_token=open_one.refresh_token))


async def test_nobody_is_mailed_who_has_no_account(ground: Ground, ann: Registered) -> None:
    for email in ("nobody@example.com", "Ann", "", "ann@example.com\r\nBcc: all@example.com"):
        await ground.wish(ForgetPassword(email=email))
    assert ground.mails.waiting == []


async def test_a_token_works_once(ground: Ground, ann: Registered) -> None:
    token = await forgotten(ground)
    with pytest.raises(Invalid):
        await ground.wish(ResetPassword(token=token, new_password="short"))
    await ground.wish(ResetPassword(token=token, new_password=NEW))
    for again in (token, "no token at all"):
        with pytest.raises(NotAuthenticated, match="another mail"):
            await ground.wish(ResetPassword(token=again, new_password="a third password"))
    await logged_in(ground, password=NEW)


async def test_a_token_is_good_for_an_hour(ground: Ground, ann: Registered) -> None:
    token = await forgotten(ground)
    ground.wait(GOOD_FOR + timedelta(seconds=1))
    with pytest.raises(NotAuthenticated):
        await ground.wish(ResetPassword(token=token, new_password=NEW))


async def test_a_token_is_worth_nothing_after_the_password_was_changed(
    ground: Ground, ann: Registered
) -> None:
    first, second = await forgotten(ground), await forgotten(ground)
    await ground.wish(ResetPassword(token=first, new_password=NEW))
    with pytest.raises(NotAuthenticated):
        await ground.wish(ResetPassword(token=second, new_password="a third password"))
    third = await forgotten(ground)
    await new_password(ground, ann, await logged_in(ground, password=NEW), password=NEW, new=PASSWORD)
    with pytest.raises(NotAuthenticated):
        await ground.wish(ResetPassword(token=third, new_password=NEW))
    await logged_in(ground)


async def test_a_token_does_what_it_was_made_for_only(ground: Ground, ann: Registered) -> None:
    token = await forgotten(ground)
    with pytest.raises(NotAuthenticated):
        await ground.wish(ConfirmEmail(token=token))
    await ground.wish(AskConfirmation(account=ann.id))
    token = mailed(ground)
    with pytest.raises(NotAuthenticated):
        await ground.wish(ResetPassword(token=token, new_password=NEW))
    await ground.wish(ConfirmEmail(token=token))


async def test_an_address_is_confirmed_once(ground: Ground, ann: Registered) -> None:
    await ground.wish(AskConfirmation(account=ann.id))
    accepted = (await ground.wish(ConfirmEmail(token=mailed(ground)))).accepted
    recorded = await ground.log.at(accepted.position)
    assert recorded is not None
    assert isinstance(recorded.event, EmailConfirmed)
    assert recorded.actor == str(ann.id)
    await ground.wish(AskConfirmation(account=ann.id))
    assert ground.mails.waiting == []


async def test_another_address_is_confirmed_anew(ground: Ground, ann: Registered) -> None:
    await ground.wish(AskConfirmation(account=ann.id))
    old = mailed(ground)
    session = session_of(ground, await logged_in(ground))
    await ground.wish(
        ChangeEmail(account=ann.id, session=session, password=PASSWORD, email="ann@example.org")
    )
    with pytest.raises(NotAuthenticated):
        await ground.wish(ConfirmEmail(token=old))
    await ground.wish(AskConfirmation(account=ann.id))
    assert [mail.to for mail in ground.mails.waiting] == ["ann@example.com", "ann@example.org"]
    await ground.wish(ConfirmEmail(token=mailed(ground)))
    state, _ = await ground.dispatcher.needs.streams.load(ACCOUNT, ann.id)
    assert state.confirmed == state.email


async def test_nobody_is_flooded_with_mails(ground: Ground, ann: Registered) -> None:
    needs = ground.dispatcher.needs
    for email in ("ann@example.com", "nobody@example.com"):
        for _ in range(MAILS):
            await may_be_mailed(email, "", needs)
        with pytest.raises(TooMany):
            await may_be_mailed(email.upper(), "", needs)
    await ground.wish(LogIn(login="ann", password=PASSWORD))


async def test_no_token_is_kept_as_it_is(ground: Ground, ann: Registered) -> None:
    token = await forgotten(ground)
    assert token.encode() not in repr(vars(ground.mails)).encode()
    stored = b"".join(row.state for row in await ground.log.rows(ann.accepted.first, 100))
    assert token.encode() not in stored
