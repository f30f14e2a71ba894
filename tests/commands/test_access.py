"""Other passwords and addresses, and what they do to whoever is logged in."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
from msgspec.structs import replace

from commands.access import (
    ChangeEmail,
    ChangePassword,
    EndOtherSessions,
    EndSession,
    Renewed,
    open_sessions,
)
from commands.accounts import Client, LogIn, Refresh, Registered, StayLoggedIn, Tokens
from commands.dispatcher import Dispatcher
from commands.erasure import EraseAccount
from domain.account import EmailChanged, PasswordChanged
from domain.refusals import Conflict, Invalid, NotAllowed, NotAuthenticated, NotFound
from domain.reservation import NameReleased, NameReserved
from tests.commands.ground import Ground
from tests.commands.test_accounts import PASSWORD, joining, logged_in, session_of

NEW = "another correct horse"


@pytest.fixture
async def ann(ground: Ground) -> Registered:
    registered: Registered = await ground.wish(joining())
    return registered


async def new_password(
    ground: Ground, ann: Registered, here: Tokens, *, password: str = PASSWORD, new: str = NEW, **more: Any
) -> Renewed:
    wish = ChangePassword(
        account=ann.id, session=session_of(ground, here), password=password, new_password=new
    )
    renewed: Renewed = await ground.wish(wish, **more)
    return renewed


async def new_email(
    ground: Ground, ann: Registered, here: Tokens, email: str, password: str = PASSWORD
) -> Renewed:
    wish = ChangeEmail(account=ann.id, session=session_of(ground, here), password=password, email=email)
    renewed: Renewed = await ground.wish(wish)
    return renewed


async def test_the_new_password_counts_and_the_old_does_not(ground: Ground, ann: Registered) -> None:
    here = await logged_in(ground)
    await new_password(ground, ann, here)
    await logged_in(ground, password=NEW)
    with pytest.raises(NotAuthenticated):
        await logged_in(ground)
    await new_password(ground, ann, here, password=NEW, new=PASSWORD)
    await logged_in(ground)
    (credentials,) = ground.accounts.credentials.values()
    assert credentials.password_hash == ""
    assert len(credentials.passwords) == 1  # none of those before is kept


async def test_another_password_ends_all_sessions_but_one(ground: Ground, ann: Registered) -> None:
    here, elsewhere = await logged_in(ground), await logged_in(ground)
    renewed = await new_password(ground, ann, here)
    with pytest.raises(NotAuthenticated):
        await ground.wish(Refresh(refresh_token=elsewhere.refresh_token))
    claims = claimed(renewed.access_token)
    assert (claims["sid"], claims["epoch"]) == (str(session_of(ground, here)), 1)
    fresh: Tokens = await ground.wish(Refresh(refresh_token=here.refresh_token))
    assert claimed(fresh.access_token)["epoch"] == 1


def claimed(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


async def test_a_wrong_or_a_bad_password_changes_nothing(ground: Ground, ann: Registered) -> None:
    here = await logged_in(ground)
    head = await ground.log.head()
    with pytest.raises(NotAllowed):
        await new_password(ground, ann, here, password="not this one")
    with pytest.raises(Invalid, match="taken"):
        await new_password(ground, ann, here, new="short")
    with pytest.raises(NotAllowed):
        await new_email(ground, ann, here, "ann@example.org", password="not this one")
    with pytest.raises(Invalid, match="taken"):
        await new_email(ground, ann, here, "no address")
    assert await ground.log.head() == head
    await logged_in(ground)


async def test_who_has_been_logged_out_changes_no_password(ground: Ground, ann: Registered) -> None:
    here, elsewhere = await logged_in(ground), await logged_in(ground)
    stolen = session_of(ground, elsewhere)
    await new_password(ground, ann, here)
    with pytest.raises(NotAuthenticated):
        await ground.wish(
            ChangePassword(account=ann.id, session=stolen, password=NEW, new_password="whatever it is")
        )
    await logged_in(ground, password=NEW)
    (credentials,) = ground.accounts.credentials.values()
    assert len(credentials.passwords) == 1


async def test_a_password_kept_by_one_who_died_before_the_event_opens_nothing(
    ground: Ground, ann: Registered
) -> None:
    needs = ground.dispatcher.needs
    await ground.accounts.keep_password(ann.id, uuid4(), await needs.passwords.hash(NEW))
    await logged_in(ground)
    with pytest.raises(NotAuthenticated):
        await logged_in(ground, password=NEW)


async def test_who_logs_in_with_the_old_password_at_that_moment_is_logged_out(
    ground: Ground, ann: Registered
) -> None:
    """The password is looked at, then changed by another, then the session begins."""
    here = await logged_in(ground)
    needs = ground.dispatcher.needs

    class Slow:
        hash = needs.passwords.hash

        async def verify(self, password: str, password_hash: str | None) -> bool:
            right = await needs.passwords.verify(password, password_hash)
            await new_password(ground, ann, here)
            return right

    late = replace(ground, dispatcher=Dispatcher(replace(needs, passwords=Slow())))
    with pytest.raises(NotAuthenticated):
        await late.wish(LogIn(login="ann", password=PASSWORD))


async def test_the_same_request_sent_twice_changes_the_password_once(ground: Ground, ann: Registered) -> None:
    here = await logged_in(ground)
    first = await new_password(ground, ann, here, key="one")
    with pytest.raises(NotAllowed):
        await new_password(ground, ann, here, key="one")  # the old password is not right any more
    again = await new_password(ground, ann, here, password=NEW, new=NEW)
    assert again.epoch == first.epoch + 1
    assert (await ground.told(ann.id)).count("account.password_changed.v1") == 2


async def test_the_new_address_is_taken_and_the_old_one_free(ground: Ground, ann: Registered) -> None:
    here = await logged_in(ground)
    before = await ground.log.head()
    await new_email(ground, ann, here, " Ann@Example.org ")
    reserved, released, changed = await ground.happened(before)
    assert reserved == NameReserved(account=ann.id)
    assert released == NameReleased(account=ann.id)
    assert isinstance(changed, EmailChanged)
    await logged_in(ground, login="ann@example.org")
    with pytest.raises(NotAuthenticated):
        await logged_in(ground, login="ann@example.com")
    with pytest.raises(Conflict):
        await ground.wish(joining("other", "ann@example.org"))
    bob = await ground.wish(joining("bob", "ann@example.com", password="bob's own horse"))
    await logged_in(ground, login="ann@example.com", password="bob's own horse")
    assert bob.id != ann.id
    (credentials, _) = ground.accounts.credentials.values()
    assert (credentials.email, list(credentials.emails.values())) == ("", ["Ann@Example.org"])


async def test_there_and_back_and_again(ground: Ground, ann: Registered) -> None:
    for email in ("ann@example.org", "ann@example.com", "ann@example.net", "ann@example.org"):
        here = await logged_in(ground)
        await new_email(ground, ann, here, email)
        await logged_in(ground, login=email)
    assert (await new_email(ground, ann, await logged_in(ground), "ANN@example.org")).accepted.position == 0


async def test_a_taken_address_is_refused_and_not_kept(ground: Ground, ann: Registered) -> None:
    await ground.wish(joining("bob", "bob@example.com"))
    here = await logged_in(ground)
    with pytest.raises(Conflict, match="already taken"):
        await new_email(ground, ann, here, "BOB@example.com")
    assert ground.accounts.credentials[ann.id].emails == {}
    await logged_in(ground, login="ann@example.com")


async def test_of_two_who_want_one_address_at_once_one_gets_it(ground: Ground, ann: Registered) -> None:
    bob = await ground.wish(joining("bob", "bob@example.com"))
    here, there = await logged_in(ground), await logged_in(ground, login="bob")
    done = await asyncio.gather(
        new_email(ground, ann, here, "both@example.org"),
        new_email(ground, bob, there, "both@example.org"),
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in done) == ["Conflict", "Renewed"]


async def test_an_erased_account_leaves_its_newest_address_free(ground: Ground, ann: Registered) -> None:
    here = await logged_in(ground)
    await new_email(ground, ann, here, "ann@example.org")
    await ground.wish(EraseAccount(account=ann.id, password=PASSWORD))
    await ground.wish(joining("Ann", "ann@example.org"))
    await ground.wish(joining("other", "ann@example.com"))


async def test_an_account_is_erased_with_the_password_that_counts(ground: Ground, ann: Registered) -> None:
    await new_password(ground, ann, await logged_in(ground))
    with pytest.raises(NotAllowed):
        await ground.wish(EraseAccount(account=ann.id, password=PASSWORD))
    await ground.wish(EraseAccount(account=ann.id, password=NEW))


async def test_sessions_tell_where_they_were_begun(ground: Ground, ann: Registered) -> None:
    needs = ground.dispatcher.needs
    await ground.wish(LogIn(login="ann", password=PASSWORD, client=Client("a browser", "192.0.2.1")))
    ground.wait(timedelta(hours=1))
    phone: Tokens = await ground.wish(
        LogIn(login="ann", password=PASSWORD, client=Client("a phone", "192.0.2.2"))
    )
    shown = await open_sessions(ann.id, needs)
    assert [(row.user_agent, row.address) for row in shown] == [
        ("a phone", "192.0.2.2"),
        ("a browser", "192.0.2.1"),
    ]
    ground.wait(timedelta(hours=1))
    await ground.wish(Refresh(refresh_token=phone.refresh_token, client=Client("a phone", "192.0.2.3")))
    used, _ = await open_sessions(ann.id, needs)
    assert used.address == "192.0.2.3"
    assert used.used_at - used.began_at == timedelta(hours=1)
    ground.wait(needs.limits.refresh_token)
    assert await open_sessions(ann.id, needs) == [used]


async def test_a_browser_that_is_used_keeps_its_session_and_an_ended_one_does_not_come_back(
    ground: Ground, ann: Registered
) -> None:
    session = session_of(ground, await logged_in(ground))
    stay = StayLoggedIn(account=ann.id, session=session, client=Client("a browser", "192.0.2.9"))
    for _ in range(3):
        ground.wait(timedelta(days=20))
        await ground.wish(stay)
    (shown,) = await open_sessions(ann.id, ground.dispatcher.needs)
    assert (shown.address, shown.used_at - shown.began_at) == ("192.0.2.9", timedelta(days=60))
    await ground.wish(EndSession(account=ann.id, session=session))
    with pytest.raises(NotAuthenticated):
        await ground.wish(stay)
    assert await open_sessions(ann.id, ground.dispatcher.needs) == []


async def test_a_session_is_ended_from_another(ground: Ground, ann: Registered) -> None:
    here, elsewhere = await logged_in(ground), await logged_in(ground)
    lost = session_of(ground, elsewhere)
    await ground.wish(EndSession(account=ann.id, session=lost))
    with pytest.raises(NotAuthenticated):
        await ground.wish(Refresh(refresh_token=elsewhere.refresh_token))
    with pytest.raises(NotFound):
        await ground.wish(EndSession(account=ann.id, session=lost))
    left = await open_sessions(ann.id, ground.dispatcher.needs)
    assert [row.session for row in left] == [session_of(ground, here)]


async def test_everybody_else_is_logged_out(ground: Ground, ann: Registered) -> None:
    here, *others = [await logged_in(ground) for _ in range(3)]
    wish = EndOtherSessions(account=ann.id, session=session_of(ground, here))
    assert (await ground.wish(wish)).epoch == 1
    assert (await ground.wish(wish)).epoch == 1
    for other in others:
        with pytest.raises(NotAuthenticated):
            await ground.wish(Refresh(refresh_token=other.refresh_token))
    await ground.wish(Refresh(refresh_token=here.refresh_token))


async def test_nothing_of_it_is_in_the_log(ground: Ground, ann: Registered) -> None:
    here = await logged_in(ground)
    await new_email(ground, ann, here, "secret@example.org")
    await new_password(ground, ann, here)
    stored = b"".join(row.state for row in await ground.log.rows(ann.accepted.first, 100))
    assert b"secret" not in stored
    assert b"argon2" not in stored
    assert any(isinstance(event, PasswordChanged) for event in await ground.happened())
