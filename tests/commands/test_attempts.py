"""Guessing: so often for one login, so often from one address, and no oftener for many at once."""

import asyncio
from datetime import timedelta
from typing import Literal

import pytest
from argon2 import PasswordHasher
from msgspec.structs import replace

from adapters.identity.passwords import Argon2Passwords
from commands.access import ChangeEmail, ChangePassword
from commands.accounts import Client, LogIn, RegisterAccount, Registered
from commands.dispatcher import Dispatcher
from commands.erasure import EraseAccount
from commands.known_accounts import NO_PASSWORD
from commands.people import ChangeAccount
from domain.ids import SessionId
from domain.refusals import Conflict, Invalid, NotAllowed, NotAuthenticated, TooMany
from tests.commands.ground import Ground
from tests.commands.test_accounts import PASSWORD, joining, logged_in, session_of

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


class Counting(PasswordHasher):
    """Tells what it was asked to verify."""

    verified: int = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        self.verified += 1
        return super().verify(hash, password)


@pytest.mark.parametrize(
    "login", ["ann", "ann@example.com", "nobody", "nobody@example.com", "", "bob", "gone", "home"]
)
async def test_a_log_in_costs_the_same_for_an_account_that_there_is_and_one_that_there_is_not(
    ground: Ground, ann: Registered, login: str
) -> None:
    """Counted, not timed: one hash is verified, and as much is asked of the log."""
    bob, gone = (
        await ground.wish(joining("bob", "b@example.com")),
        await ground.wish(joining("gone", "g@x.org")),
    )
    home = await ground.wish(joining("home", "h@example.com"))
    await ground.wish(ChangeAccount(account=bob.id, by=None, reason="Spam.", suspended=True))
    await ground.wish(EraseAccount(account=gone.id, password=PASSWORD))
    kept = ground.accounts.credentials
    kept[home.id] = replace(kept[home.id], password_hash=NO_PASSWORD)  # has come by the provider
    hasher = Counting(time_cost=1, memory_cost=8, parallelism=1)
    ground.dispatcher = Dispatcher(replace(ground.dispatcher.needs, passwords=Argon2Passwords(hasher)))
    with pytest.raises(NotAuthenticated, match=r"^Wrong login or password\.$"):
        await ground.wish(LogIn(login=login, password="not this one"))
    assert hasher.verified == 1


async def test_accounts_are_registered_so_often_from_one_address(ground: Ground) -> None:
    needs = ground.dispatcher.needs
    few = replace(needs, limits=replace(needs.limits, registrations_of_address=3))
    ground.dispatcher = Dispatcher(few)

    def wish(number: int, address: str = "2001:db8::1") -> RegisterAccount:
        email = "taken@example.com" if number == 0 else f"{number}@example.com"
        return replace(joining(f"ann{number}", email), address=address)

    await ground.wish(wish(0))
    with pytest.raises(Conflict):  # nor can it be asked for ever who has an address
        await ground.wish(replace(wish(0), username="other"))
    with pytest.raises(Invalid):  # what is no registration is not counted
        await ground.wish(replace(wish(5), email="no address"))
    await ground.wish(wish(1, "2001:db8::2"))  # of one network
    with pytest.raises(TooMany) as told:
        await ground.wish(wish(2, "2001:db8::3"))
    assert told.value.retry_after_s == WINDOW.total_seconds() / 3
    await ground.wish(wish(2, "192.0.2.7"))
    ground.wait(WINDOW)
    await ground.wish(wish(3))


async def test_addresses_are_asked_for_so_often_only(ground: Ground, ann: Registered) -> None:
    """By changing one's own again and again."""
    await ground.wish(joining("bob", "bob@example.com"))
    session = session_of(ground, await logged_in(ground))
    change = ChangeEmail(account=ann.id, session=session, password=PASSWORD, email="bob@example.com")
    for _ in range(MOST):
        with pytest.raises(Conflict):
            await ground.wish(change)
    for email in ("bob@example.com", "free@example.com"):
        with pytest.raises(TooMany):
            await ground.wish(replace(change, email=email))
