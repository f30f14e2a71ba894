"""Joining, logging in, staying logged in."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace

from commands.access import ChangeEmail
from commands.accounts import GiveRole, LogIn, LogOut, Refresh, RegisterAccount, Registered, Tokens
from commands.known_accounts import holder
from commands.ports import KeyReused
from domain.account import (
    AccountLoggedIn,
    AccountLoggedOut,
    AccountRegistered,
    Role,
    RoleGiven,
    SessionRevoked,
)
from domain.ids import AccountId, SessionId
from domain.refusals import Conflict, Invalid, NotAuthenticated, NotFound
from domain.reservation import NameReserved
from tests.commands.ground import Ground

PASSWORD = "correct horse"


def joining(
    username: str = "Ann", email: str = "ann@example.com", password: str = PASSWORD
) -> RegisterAccount:
    return RegisterAccount(username=username, email=email, password=password)


@pytest.fixture
async def ann(ground: Ground) -> Registered:
    registered: Registered = await ground.wish(joining())
    return registered


async def logged_in(ground: Ground, login: str = "ann", password: str = PASSWORD) -> Tokens:
    tokens: Tokens = await ground.wish(LogIn(login=login, password=password))
    return tokens


def session_of(ground: Ground, tokens: Tokens) -> SessionId:
    token_hash = ground.dispatcher.needs.secrets.hash_token(tokens.refresh_token)
    return ground.accounts.refresh_tokens[token_hash].session


async def test_somebody_joins(ground: Ground) -> None:
    ann = await ground.wish(joining())
    reserved = NameReserved(account=ann.id)
    *names, registered = await ground.happened()
    assert names == [reserved, reserved]
    assert isinstance(registered, AccountRegistered)
    assert (registered.account, registered.username.text) == (ann.id, None)
    assert ann.accepted.position == 3
    first = await ground.log.at(ann.accepted.first)
    assert first is not None
    assert (first.actor, first.owner) == (str(ann.id), ann.id)


async def test_neither_password_nor_address_nor_name_of_a_stream_is_in_the_log(
    ground: Ground, ann: Registered
) -> None:
    rows = await ground.log.rows(ann.accepted.first, 100)
    stored = b"".join(row.state for row in rows)
    assert b"example.com" not in stored
    assert b"ann" not in stored.lower()
    assert PASSWORD.encode() not in stored
    (credentials,) = ground.accounts.credentials.values()
    assert credentials.password_hash.startswith("$argon2id$")


@pytest.mark.parametrize(
    ("username", "email"),
    [("ANN", "other@example.com"), ("other", "Ann@Example.com"), (" ann ", "ann@example.com")],
)
async def test_a_taken_name_is_refused(ground: Ground, ann: Registered, username: str, email: str) -> None:
    with pytest.raises(Conflict, match="already taken"):
        await ground.wish(joining(username, email))
    assert list(ground.accounts.credentials) == [ann.id]
    assert await ground.log.head() == 3


@pytest.mark.parametrize(
    ("wish", "fields"),
    [
        (joining(username="a"), {"username"}),
        (joining(username="a b c"), {"username"}),
        (joining(email="nobody"), {"email"}),
        (joining(password="short"), {"password"}),
        (joining("", "", ""), {"username", "email", "password"}),
        (joining(username="x\0y"), {"username"}),
    ],
)
async def test_every_error_is_named_at_once(ground: Ground, wish: RegisterAccount, fields: set[str]) -> None:
    with pytest.raises(Invalid) as refusal:
        await ground.wish(wish)
    assert {error.field for error in refusal.value.errors} == fields
    assert await ground.log.head() == 0


async def test_of_two_who_want_a_name_at_once_one_gets_it(ground: Ground) -> None:
    ends: list[Any] = await asyncio.gather(
        *[ground.wish(joining("ann", f"ann{number}@example.com")) for number in range(5)],
        return_exceptions=True,
    )
    winners = [end for end in ends if isinstance(end, Registered)]
    assert len(winners) == 1
    assert sum(isinstance(end, Conflict) for end in ends) == 4
    assert list(ground.accounts.credentials) == [winners[0].id]
    assert await ground.log.head() == 3


async def test_of_many_who_want_an_address_at_once_one_gets_it(ground: Ground) -> None:
    bob = await ground.wish(joining("bob", "bob@example.com"))
    session = session_of(ground, await logged_in(ground, "bob"))
    change = ChangeEmail(account=bob.id, session=session, password=PASSWORD, email="Ann@example.com")
    wishes = [change, *(joining(f"ann{number}", "ann@example.com") for number in range(4))]
    done = await asyncio.gather(*(ground.wish(wish) for wish in wishes), return_exceptions=True)
    assert sum(isinstance(each, Conflict) for each in done) == len(wishes) - 1
    (winner,) = [each for each in done if not isinstance(each, Conflict)]
    name = "bob" if winner is done[0] else winner.username  # type: ignore[union-attr]  # or a registration
    needs = ground.dispatcher.needs
    held = await holder("email", "ann@example.com", needs)
    assert held == await holder("username", name, needs)
    assert len(ground.accounts.credentials) == (1 if winner is done[0] else 2)


async def test_joining_twice_with_one_key_is_joining_once(ground: Ground) -> None:
    first = await ground.wish(joining(), key="k")
    again = await ground.wish(joining(), key="k")
    assert (again.id, again.username, again.accepted.repeated) == (first.id, "Ann", True)
    with pytest.raises(KeyReused):
        await ground.wish(joining("bob", "bob@example.com"), key="k")


async def test_joining_twice_at_once_with_one_key_is_joining_once(ground: Ground) -> None:
    both = await asyncio.gather(ground.wish(joining(), key="k"), ground.wish(joining(), key="k"))
    assert both[0].id == both[1].id
    assert list(ground.accounts.credentials) == [both[0].id]


@pytest.mark.parametrize("login", ["Ann", "ann", "ann@example.com", "ANN@example.com"])
async def test_one_logs_in_by_name_or_address(ground: Ground, ann: Registered, login: str) -> None:
    tokens = await logged_in(ground, login)
    assert tokens.expires_in == 15 * 60
    (event,) = await ground.happened(after=3)
    assert isinstance(event, AccountLoggedIn)


@pytest.mark.parametrize(("login", "password"), [("ann", "wrong"), ("nobody", PASSWORD), ("", "")])
async def test_a_wrong_login_is_told_no_reason(
    ground: Ground, ann: Registered, login: str, password: str
) -> None:
    with pytest.raises(NotAuthenticated, match="Wrong login or password"):
        await logged_in(ground, login, password)
    assert await ground.log.head() == 3


async def test_credentials_without_an_account_let_nobody_in(ground: Ground, ann: Registered) -> None:
    """A registration that died between its credentials and its events."""
    orphan = replace(ground.accounts.credentials[ann.id], account=AccountId(uuid4()))
    await ground.accounts.remove(ann.id)
    await ground.accounts.add(orphan, ground.vault.new_key(orphan.account))
    with pytest.raises(NotAuthenticated):
        await logged_in(ground)


async def test_a_refresh_token_is_exchanged(ground: Ground, ann: Registered) -> None:
    first = await logged_in(ground)
    second = await ground.wish(Refresh(refresh_token=first.refresh_token))
    third = await ground.wish(Refresh(refresh_token=second.refresh_token))
    assert len({first.refresh_token, second.refresh_token, third.refresh_token}) == 3


async def test_a_refresh_token_used_twice_ends_its_session(ground: Ground, ann: Registered) -> None:
    first = await logged_in(ground)
    second = await ground.wish(Refresh(refresh_token=first.refresh_token))
    for stolen in (first, second):
        with pytest.raises(NotAuthenticated):
            await ground.wish(Refresh(refresh_token=stolen.refresh_token))
    assert [type(event) for event in await ground.happened(after=3)] == [AccountLoggedIn, SessionRevoked]


async def test_a_stolen_session_does_not_end_the_others(ground: Ground, ann: Registered) -> None:
    stolen, other = await logged_in(ground), await logged_in(ground)
    await ground.wish(Refresh(refresh_token=stolen.refresh_token))
    with pytest.raises(NotAuthenticated):
        await ground.wish(Refresh(refresh_token=stolen.refresh_token))
    await ground.wish(Refresh(refresh_token=other.refresh_token))


async def test_of_two_who_use_a_refresh_token_at_once_nobody_keeps_the_session(
    ground: Ground, ann: Registered
) -> None:
    first = await logged_in(ground)
    ends = await asyncio.gather(
        *[ground.wish(Refresh(refresh_token=first.refresh_token)) for _ in range(2)], return_exceptions=True
    )
    for tokens in [end for end in ends if isinstance(end, Tokens)]:
        with pytest.raises(NotAuthenticated):
            await ground.wish(Refresh(refresh_token=tokens.refresh_token))


async def test_a_refresh_token_expires(ground: Ground, ann: Registered) -> None:
    tokens = await logged_in(ground)
    ground.wait(timedelta(days=30))
    with pytest.raises(NotAuthenticated):
        await ground.wish(Refresh(refresh_token=tokens.refresh_token))


async def test_an_invented_refresh_token_is_refused(ground: Ground) -> None:
    with pytest.raises(NotAuthenticated):
        await ground.wish(Refresh(refresh_token="invented"))


async def test_after_logging_out_nothing_can_be_refreshed(ground: Ground, ann: Registered) -> None:
    tokens = await logged_in(ground)
    (event,) = await ground.happened(after=3)
    assert isinstance(event, AccountLoggedIn)
    out = LogOut(account=ann.id, session=event.session)
    await ground.wish(out)
    await ground.wish(out)
    assert await ground.happened(after=4) == [AccountLoggedOut(session=event.session)]
    with pytest.raises(NotAuthenticated):
        await ground.wish(Refresh(refresh_token=tokens.refresh_token))


async def test_a_role_is_given_by_name(ground: Ground, ann: Registered) -> None:
    await ground.wish(GiveRole(username="ANN", role=Role.ADMIN))
    (given,) = await ground.happened(after=3)
    assert given == RoleGiven(role=Role.ADMIN, reason="By the operator of the server.")


@pytest.mark.parametrize("nobody", ["bob", "ann@example.com"])
async def test_nobody_else_gets_it(ground: Ground, ann: Registered, nobody: str) -> None:
    with pytest.raises(NotFound):
        await ground.wish(GiveRole(username=nobody, role=Role.ADMIN))
