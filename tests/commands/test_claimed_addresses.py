"""Where addresses are confirmed nobody learns whose they are, and nobody goes by an address that is not theirs."""

import re
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from commands.access import ChangeEmail, ChangePassword, Renewed
from commands.accounts import RegisterAccount
from commands.dispatcher import Dispatcher
from commands.erasure import EraseAccount
from commands.identity_ports import Mail
from commands.mailing import AskConfirmation, ConfirmEmail, ResetPassword
from commands.notices import MAILS
from domain.account import ACCOUNT
from domain.event import topic
from domain.ids import AccountId
from domain.refusals import Conflict, NotAuthenticated, TooMany
from tests.commands.ground import Ground
from tests.commands.test_accounts import PASSWORD, joining, logged_in, session_of

ANN, BOB = "ann@example.com", "bob@example.com"


@pytest.fixture
def ground(ground: Ground) -> Ground:
    needs = ground.dispatcher.needs
    ground.dispatcher = Dispatcher(replace(needs, limits=replace(needs.limits, confirm_addresses=True)))
    return ground


def taken_out(ground: Ground) -> list[Mail]:
    mails = list(ground.mails.waiting)
    ground.mails.waiting.clear()
    return mails


def token(mail: Mail) -> str:
    (found,) = re.findall(r": ([A-Za-z0-9_-]{40,})", mail.body)
    return str(found)


async def confirmed(ground: Ground, username: str = "Ann", email: str = ANN) -> AccountId:
    """Somebody whose address is their own."""
    joined = await ground.wish(joining(username, email))
    (mail,) = taken_out(ground)
    await ground.wish(ConfirmEmail(token=token(mail)))
    return AccountId(joined.id)


async def test_whoever_joins_logs_in_at_once_by_name_and_by_address_once_it_is_confirmed(
    ground: Ground,
) -> None:
    await ground.wish(joining())
    await logged_in(ground)
    with pytest.raises(NotAuthenticated):
        await logged_in(ground, login=ANN)
    (mail,) = taken_out(ground)
    assert (mail.to, mail.subject) == (ANN, "Your e-mail address")
    await ground.wish(ConfirmEmail(token=token(mail)))
    await logged_in(ground, login=ANN)
    with pytest.raises(NotAuthenticated):
        await ground.wish(ConfirmEmail(token=token(mail)))


async def test_joining_is_the_same_with_an_address_that_is_taken(ground: Ground) -> None:
    """The same answer, the same deeds in the log, and as many mails and tokens written."""
    ann = await confirmed(ground)
    told: list[tuple[Any, ...]] = []
    for username, email in (("carl", ANN.upper()), ("dora", "dora@example.com")):
        before, tokens = len(await ground.happened()), len(ground.mails.tokens)
        joined = await ground.wish(joining(username, email))
        deeds = [topic(event) for event in await ground.happened(before)]
        (mail,) = taken_out(ground)
        assert mail.to == email.lower()  # as its owner writes it
        told.append((joined.username == username, deeds, len(ground.mails.tokens) - tokens))
        if email == ANN.upper():
            assert (mail.account, mail.subject) == (ann, "You have an account already")
            wanted = mail
        await logged_in(ground, login=username)
    assert told[0] == told[1] == (True, ["reservation.name_reserved.v1", "account.registered.v2"], 1)
    with pytest.raises(NotAuthenticated):  # what their mail lets them do is not this
        await ground.wish(ConfirmEmail(token=token(wanted)))
    await ground.wish(joining("emil", ANN))
    (wanted,) = taken_out(ground)
    await ground.wish(ResetPassword(token=token(wanted), new_password="another password"))
    await logged_in(ground, login=ANN, password="another password")


async def test_of_two_who_claim_one_address_the_first_who_reads_the_mail_has_it(ground: Ground) -> None:
    mails = []
    for username in ("carl", "dora"):
        await ground.wish(joining(username, BOB))
        mails += taken_out(ground)
    await ground.wish(ConfirmEmail(token=token(mails[1])))
    with pytest.raises(Conflict, match="already taken"):
        await ground.wish(ConfirmEmail(token=token(mails[0])))
    state, _ = await ground.dispatcher.needs.streams.load(ACCOUNT, mails[1].account)
    assert state.confirmed is not None


async def test_another_address_is_ones_own_once_it_is_confirmed(ground: Ground) -> None:
    ann = await confirmed(ground)
    here = await logged_in(ground)
    change = ChangeEmail(account=ann, session=session_of(ground, here), password=PASSWORD, email=BOB)
    done: Renewed = await ground.wish(change)
    assert (done.accepted.position, done.mailed) == (0, True)
    await logged_in(ground, login=ANN)
    (mail,) = taken_out(ground)
    moved = await ground.wish(ConfirmEmail(token=token(mail)))
    assert (moved.account, moved.epoch) == (ann, 1)
    (told,) = taken_out(ground)
    assert (told.to, told.subject) == (ANN, "Your e-mail address was changed")
    await logged_in(ground, login=BOB)
    with pytest.raises(NotAuthenticated):
        await logged_in(ground, login=ANN)
    with pytest.raises(NotAuthenticated):  # all sessions have ended
        await ground.wish(replace(change, email="third@example.com"))
    await confirmed(ground, "carl", ANN)  # it is free


async def test_changing_is_the_same_with_an_address_that_is_taken(ground: Ground) -> None:
    ann, bob = await confirmed(ground), await confirmed(ground, "bob", BOB)
    session = session_of(ground, await logged_in(ground))
    told = []
    for email in (BOB, "free@example.com"):
        before, tokens = len(await ground.happened()), len(ground.mails.tokens)
        change = ChangeEmail(account=ann, session=session, password=PASSWORD, email=email)
        done: Renewed = await ground.wish(change)
        (mail,) = taken_out(ground)
        assert (mail.to, mail.account) == (email, bob if email == BOB else ann)
        added = len(ground.mails.tokens) - tokens
        told.append((done.accepted, done.mailed, await ground.happened(before), added))
    assert told[0] == told[1]
    kept = ground.accounts.credentials[ann].emails
    assert list(kept.values()) == ["free@example.com"]  # what was wished for before is forgotten


async def test_another_password_makes_void_what_a_thief_has_wished_for(ground: Ground) -> None:
    ann = await confirmed(ground)
    here = session_of(ground, await logged_in(ground))
    thief = ChangeEmail(account=ann, session=here, password=PASSWORD, email="thief@example.com")
    await ground.wish(thief)
    (mail,) = taken_out(ground)
    change = ChangePassword(account=ann, session=here, password=PASSWORD, new_password="another password")
    await ground.wish(change)
    with pytest.raises(NotAuthenticated):
        await ground.wish(ConfirmEmail(token=token(mail)))
    await logged_in(ground, login=ANN, password="another password")


async def test_nobody_is_annoyed_at_an_address_that_others_say_is_theirs(ground: Ground) -> None:
    await confirmed(ground, "bob", BOB)
    for number in range(MAILS + 2):
        await ground.wish(joining(f"carl{number}", BOB))
        await ground.wish(joining(f"dora{number}", "dora@example.com"))
    to = [mail.to for mail in taken_out(ground)]
    assert to.count(BOB) < to.count("dora@example.com") == MAILS  # the first of bob's was his own
    carl, dora = [
        next(c.account for c in ground.accounts.credentials.values() if c.username == name)
        for name in ("carl0", "dora0")
    ]
    for account in (carl, dora):
        with pytest.raises(TooMany):
            await ground.wish(AskConfirmation(account=account))
    session = session_of(ground, await logged_in(ground, login="carl0"))
    change = ChangePassword(account=carl, session=session, password=PASSWORD, new_password="another password")
    await ground.wish(change)
    assert taken_out(ground) == []


async def test_an_address_is_free_when_its_account_is_erased(ground: Ground) -> None:
    ann = await confirmed(ground)
    await ground.wish(EraseAccount(account=ann, password=PASSWORD))
    await confirmed(ground, "other", ANN)


async def test_the_operator_vouches_for_an_address(ground: Ground) -> None:
    wish = RegisterAccount(username="root", email=BOB, password=PASSWORD, vouched=True)
    await ground.wish(wish)
    assert taken_out(ground) == []
    await logged_in(ground, login=BOB)
    with pytest.raises(Conflict):
        await ground.wish(replace(wish, username="other"))


async def test_the_same_request_is_one_account(ground: Ground) -> None:
    ids = {UUID(str((await ground.wish(joining(), key="once")).id)) for _ in range(2)}
    assert len(ids) == len(taken_out(ground)) == 1
