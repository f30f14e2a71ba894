"""Guessing: so often for one login, so often from one address, and no oftener for many at once."""

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from commands.access import ChangePassword
from commands.accounts import Client, LogIn, Registered
from commands.dispatcher import Dispatcher
from commands.erasure import EraseAccount
from domain.ids import SessionId
from domain.refusals import NotAllowed, NotAuthenticated, TooMany
from tests.commands.ground import Ground
from tests.commands.test_accounts import PASSWORD, joining, logged_in

MOST, WINDOW = 10, timedelta(minutes=15)


@pytest.fixture
async def ann(ground: Ground) -> Registered:
    registered: Registered = await ground.wish(joining())
    return registered


def guess(login: str = "ann", address: str = "192.0.2.1", password: str = "wrong") -> LogIn:
    return LogIn(login=login, password=password, client=Client(address=address))


async def guessed(ground: Ground, *wishes: LogIn) -> list[str]:
    return [type(await _outcome(ground, wish)).__name__ for wish in wishes]


async def _outcome(ground: Ground, wish: LogIn) -> object:
    try:
        return await ground.wish(wish)
    except (NotAuthenticated, TooMany) as refused:
        return refused


@pytest.mark.parametrize("login", ["ann", "nobody", "nobody@example.com"])
async def test_a_login_is_guessed_at_so_often_only_whether_there_is_one_or_not(
    ground: Ground, ann: Registered, login: str
) -> None:
    wishes = [guess(login.upper() if number % 2 else login, f"192.0.2.{number}") for number in range(MOST)]
    assert set(await guessed(ground, *wishes)) == {"NotAuthenticated"}
    with pytest.raises(TooMany) as told:
        await ground.wish(guess(login, "198.51.100.1"))
    assert told.value.retry_after_s == WINDOW.total_seconds() / MOST
    with pytest.raises(TooMany):
        await ground.wish(guess(login, password=PASSWORD))  # nor is the right one told from others
    await logged_in(ground, login="ann" if login != "ann" else "ann@example.com")
    ground.wait(timedelta(seconds=told.value.retry_after_s))
    assert await guessed(ground, guess(login), guess(login)) == ["NotAuthenticated", "TooMany"]
    ground.wait(WINDOW)
    assert set(await guessed(ground, *[guess(login)] * MOST)) == {"NotAuthenticated"}


async def test_many_at_once_are_no_more_than_one_after_the_other(ground: Ground, ann: Registered) -> None:
    outcomes = await asyncio.gather(*(_outcome(ground, guess()) for _ in range(3 * MOST)))
    assert sum(isinstance(each, NotAuthenticated) for each in outcomes) == MOST


async def test_who_is_right_is_never_kept_waiting(ground: Ground, ann: Registered) -> None:
    for _ in range(3 * MOST):
        await ground.wish(guess(password=PASSWORD))
    assert (await guessed(ground, *[guess()] * (MOST + 1)))[-1] == "TooMany"


async def test_an_address_guesses_at_so_many_logins_only(ground: Ground) -> None:
    needs = ground.dispatcher.needs
    few = replace(needs, limits=replace(needs.limits, wrong_attempts_of_address=5))
    ground = replace(ground, dispatcher=Dispatcher(few))
    network = [f"2001:db8::{number}" for number in range(6)]  # of one network
    outcomes = await guessed(ground, *[guess(f"login-{place}", each) for place, each in enumerate(network)])
    assert outcomes == ["NotAuthenticated"] * 5 + ["TooMany"]
    assert (
        await guessed(ground, guess("login-9", "2001:db8:1::1"), guess("login-9", "192.0.2.1"))
        == ["NotAuthenticated"] * 2
    )
    assert await guessed(ground, *[guess("login-5", "192.0.2.2")] * 5) == ["NotAuthenticated"] * 5
    # what the address was refused did not count for the login


async def test_a_password_said_once_more_is_guessed_at_no_oftener(ground: Ground, ann: Registered) -> None:
    session = SessionId(ann.id)
    change = ChangePassword(account=ann.id, session=session, password="wrong", new_password="another one")
    for number in range(MOST):
        with pytest.raises(NotAllowed):
            await ground.wish(change if number % 2 else EraseAccount(account=ann.id, password="wrong"))
    for wish in (change, EraseAccount(account=ann.id, password=PASSWORD)):
        with pytest.raises(TooMany):
            await ground.wish(wish)
