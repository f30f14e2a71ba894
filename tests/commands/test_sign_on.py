"""Logging in by a provider: once, in the browser that began it, and into no account that was not linked."""

import asyncio
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from msgspec.structs import replace

from commands.access import ChangePassword
from commands.accounts import LogIn, Registered, Tokens
from commands.dispatcher import Dispatcher
from commands.erasure import EraseAccount
from commands.known_accounts import FRESH, Known, known
from commands.people import ChangeAccount
from commands.providers import Identity
from commands.sign_on import (
    GOOD_FOR,
    BeginLink,
    BeginSignOn,
    FinishSignOn,
    FinishWithCode,
    SignedOn,
    Unlink,
)
from domain.account import ACCOUNT, AccountLoggedIn, AccountRegistered, EmailConfirmed, IdentityLinked
from domain.ids import Position, SessionId
from domain.refusals import CodeNeeded, Conflict, NotAllowed, NotAuthenticated, NotFound, TooMany
from domain.reservation import NameReserved
from tests.commands.ground import Ground
from tests.commands.test_access import session_of
from tests.commands.test_accounts import PASSWORD, joining, logged_in
from tests.commands.test_second_factor import turned_on

BROWSER = "b" * 43
ANN = Identity(issuer="https://home", subject="7", name="ann", email="ann@example.org", email_verified=True)


class Home:
    """A provider that believes whoever is at the browser."""

    label = "Home"

    def __init__(self) -> None:
        self.codes: dict[str, tuple[Identity, str, str]] = {}

    async def address(self, *, state: str, nonce: str, verifier: str) -> str:
        return f"https://home/?state={state}&nonce={nonce}&verifier={verifier}"

    async def identity(self, code: str, *, nonce: str, verifier: str) -> Identity:
        who, *began = self.codes.pop(code, (ANN, "", ""))
        if began != [nonce, verifier]:
            raise NotAuthenticated("The provider did not let you in.")
        return who

    def allow(self, url: str, who: Identity = ANN) -> tuple[str, str]:
        """State and code that the browser comes back with."""
        asked = {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()}
        code = uuid4().hex
        self.codes[code] = (who, asked["nonce"], asked["verifier"])
        return asked["state"], code


@pytest.fixture
def home(ground: Ground) -> Home:
    made = Home()
    ground.dispatcher = Dispatcher(replace(ground.dispatcher.needs, provider=made))
    return made


@pytest.fixture
async def ann(ground: Ground) -> Registered:
    """Has an account of before, with another address than the provider knows."""
    registered: Registered = await ground.wish(joining())
    return registered


async def back(ground: Ground, home: Home, who: Identity = ANN, browser: str = BROWSER) -> FinishSignOn:
    state, code = home.allow(await ground.wish(BeginSignOn(browser=browser)), who)
    return FinishSignOn(browser=browser, state=state, code=code)


async def signed_on(ground: Ground, home: Home, who: Identity = ANN) -> Tokens:
    done: SignedOn = await ground.wish(await back(ground, home, who))
    assert done.tokens is not None
    return done.tokens


async def whose(ground: Ground, tokens: Tokens) -> Known:
    row = next(each for each in ground.accounts.noted.values() if each.session == session_of(ground, tokens))
    return await known(row.account, ground.dispatcher.needs)


async def linked(ground: Ground, home: Home, ann: Registered, who: Identity = ANN) -> SessionId:
    session = session_of(ground, await logged_in(ground))
    wish = BeginLink(account=ann.id, session=session, password=PASSWORD, browser=BROWSER)
    state, code = home.allow(await ground.wish(wish), who)
    done: SignedOn = await ground.wish(FinishSignOn(browser=BROWSER, state=state, code=code))
    assert done.tokens is None
    return session


async def test_whoever_comes_first_by_the_provider_gets_an_account(ground: Ground, home: Home) -> None:
    found = await whose(ground, await signed_on(ground, home))
    assert found.credentials is not None
    assert (found.credentials.username, found.email) == ("ann", "ann@example.org")
    assert not found.has_password
    kinds = [type(event) for event in await ground.happened()]
    assert kinds == [*[NameReserved] * 3, AccountRegistered, IdentityLinked, EmailConfirmed, AccountLoggedIn]
    again = await whose(
        ground, await signed_on(ground, home, replace(ANN, name="else", email="x@example.org"))
    )
    assert again.id == found.id
    stored = b"".join(row.state for row in await ground.log.rows(Position(0), 100))
    for secret in (b"example.org", b"https://home", b'"7"'):
        assert secret not in stored


@pytest.mark.parametrize(
    ("who", "begins"),
    [
        ({"name": "Ann"}, "Ann-"),
        ({"name": "Zoë B. <script>"}, "Zo-B.-script"),
        ({"name": "zoe@example.org"}, "zoe"),
        ({"name": "", "email": ""}, "user-"),
        ({"name": "é"}, "user-"),
        ({"name": "x" * 300}, "x" * 30),
    ],
)
async def test_a_free_name_is_found(
    ground: Ground, home: Home, ann: Registered, who: dict[str, Any], begins: str
) -> None:
    found = await whose(ground, await signed_on(ground, home, replace(ANN, **who)))
    assert found.credentials is not None
    assert found.credentials.username.startswith(begins)


async def test_an_account_is_never_linked_by_its_address(ground: Ground, home: Home, ann: Registered) -> None:
    before = await ground.log.head()
    with pytest.raises(Conflict, match="link the provider there"):
        await ground.wish(await back(ground, home, replace(ANN, email="ANN@example.com")))
    assert await ground.log.head() == before
    unverified = replace(ANN, email="ann@example.com", email_verified=False)
    found = await whose(ground, await signed_on(ground, home, unverified))
    assert found.id != ann.id
    assert (found.email, found.state.confirmed) == ("", None)


async def test_an_account_is_linked_by_whoever_is_logged_in_to_it(
    ground: Ground, home: Home, ann: Registered
) -> None:
    session = await linked(ground, home, ann)
    assert (await whose(ground, await signed_on(ground, home))).id == ann.id
    await logged_in(ground)  # with the password as before
    with pytest.raises(Conflict):
        await ground.wish(BeginLink(account=ann.id, session=session, password=PASSWORD, browser=BROWSER))
    with pytest.raises(NotAllowed):
        await ground.wish(Unlink(account=ann.id, session=session, password="wrong"))
    await ground.wish(Unlink(account=ann.id, session=session, password=PASSWORD))
    assert (await ground.wish(Unlink(account=ann.id, session=session, password=PASSWORD))).position == 0
    assert (await whose(ground, await signed_on(ground, home))).id != ann.id


async def test_linking_asks_for_the_password_and_ends_with_the_session(
    ground: Ground, home: Home, ann: Registered
) -> None:
    session = session_of(ground, await logged_in(ground))
    with pytest.raises(NotAllowed):
        await ground.wish(BeginLink(account=ann.id, session=session, password="wrong", browser=BROWSER))
    url = await ground.wish(BeginLink(account=ann.id, session=session, password=PASSWORD, browser=BROWSER))
    state, code = home.allow(url)
    other = session_of(ground, await logged_in(ground))
    change = ChangePassword(account=ann.id, session=other, password=PASSWORD, new_password="a new password")
    await ground.wish(change)
    with pytest.raises(NotAuthenticated):
        await ground.wish(FinishSignOn(browser=BROWSER, state=state, code=code))


async def test_an_identity_belongs_to_one_account(ground: Ground, home: Home, ann: Registered) -> None:
    first = await whose(ground, await signed_on(ground, home))
    with pytest.raises(Conflict, match="taken"):
        await linked(ground, home, ann)
    assert (await whose(ground, await signed_on(ground, home))).id == first.id


async def test_a_log_in_is_finished_once_where_it_was_begun_and_in_time(ground: Ground, home: Home) -> None:
    good = await back(ground, home)
    for wrong in (
        replace(good, state="another state"),
        replace(good, browser="c" * 43),
        replace(good, state="", browser=""),
    ):
        with pytest.raises(NotAuthenticated):
            await ground.wish(wrong)
    done: SignedOn = await ground.wish(good)
    assert done.tokens is not None
    with pytest.raises(NotAuthenticated):
        await ground.wish(good)
    late = await back(ground, home)
    ground.wait(GOOD_FOR + timedelta(seconds=1))
    with pytest.raises(NotAuthenticated):
        await ground.wish(late)


async def test_a_code_of_one_log_in_is_worth_nothing_in_another(ground: Ground, home: Home) -> None:
    """An attacker's code slipped into the victim's browser, or the other way round."""
    mine, theirs = await back(ground, home), await back(ground, home, browser="c" * 43)
    with pytest.raises(NotAuthenticated):
        await ground.wish(replace(mine, code=theirs.code))


async def test_of_many_who_bring_one_answer_one_is_let_in(ground: Ground, home: Home) -> None:
    good = await back(ground, home)
    done = await asyncio.gather(*(ground.wish(good) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(each, SignedOn) for each in done) == 1
    assert sum(isinstance(each, NotAuthenticated) for each in done) == 3


async def test_whoever_comes_twice_at_once_gets_one_account(ground: Ground, home: Home) -> None:
    wishes = [await back(ground, home) for _ in range(3)]
    await asyncio.gather(*(ground.wish(wish) for wish in wishes))
    events = await ground.happened()
    assert sum(isinstance(event, AccountRegistered) for event in events) == 1
    assert len(ground.accounts.credentials) == 1


async def test_two_who_come_at_once_get_names_of_their_own(ground: Ground, home: Home) -> None:
    wishes = [
        await back(ground, home, replace(ANN, subject=str(number), email=f"{number}@example.org"))
        for number in range(3)
    ]
    await asyncio.gather(*(ground.wish(wish) for wish in wishes))
    names = {each.username for each in ground.accounts.credentials.values()}
    assert len(names) == 3
    assert "ann" in names


async def test_whoever_is_suspended_stays_out(ground: Ground, home: Home, ann: Registered) -> None:
    await linked(ground, home, ann)
    await ground.wish(ChangeAccount(account=ann.id, by=None, reason="Spam.", suspended=True))
    with pytest.raises(NotAllowed, match=r"suspended: Spam\."):
        await signed_on(ground, home)


async def test_the_second_factor_is_asked_for_all_the_same(
    ground: Ground, home: Home, ann: Registered
) -> None:
    session = await linked(ground, home, ann)
    device, codes = await turned_on(ground, ann, session)
    wish = await back(ground, home)
    for _ in range(2):  # the page asked for anew
        with pytest.raises(CodeNeeded):
            await ground.wish(wish)
    code = FinishWithCode(browser=BROWSER, state=wish.state, code=device.next())
    for wrong in (replace(code, code="000000"), replace(code, browser="c" * 43), replace(code, state="x")):
        with pytest.raises(NotAuthenticated):
            await ground.wish(wrong)
    done: SignedOn = await ground.wish(code)
    assert done.tokens is not None
    assert (await whose(ground, done.tokens)).id == ann.id
    for again in (code, replace(code, code=codes[0])):
        with pytest.raises(NotAuthenticated):
            await ground.wish(again)
    unproven = await back(ground, home)
    with pytest.raises(NotAuthenticated):  # nobody has come back from the provider yet
        await ground.wish(FinishWithCode(browser=BROWSER, state=unproven.state, code=codes[0]))


async def test_codes_are_guessed_so_often_only(ground: Ground, home: Home, ann: Registered) -> None:
    session = await linked(ground, home, ann)
    device, _ = await turned_on(ground, ann, session)
    wish = await back(ground, home)
    with pytest.raises(CodeNeeded):
        await ground.wish(wish)
    for _ in range(10):
        with pytest.raises(NotAuthenticated):
            await ground.wish(FinishWithCode(browser=BROWSER, state=wish.state, code="000000"))
    with pytest.raises(TooMany):
        await ground.wish(FinishWithCode(browser=BROWSER, state=wish.state, code=device.next()))


async def test_whoever_has_no_password_shows_who_they_are_by_logging_in(ground: Ground, home: Home) -> None:
    tokens = await signed_on(ground, home)
    ann, session = (await whose(ground, tokens)).id, session_of(ground, tokens)
    for password in ("", "-", PASSWORD):
        with pytest.raises(NotAuthenticated):
            await ground.wish(LogIn(login="ann", password=password))
    with pytest.raises(Conflict, match="Take a password first"):
        await ground.wish(Unlink(account=ann, session=session, password=""))
    ground.wait(FRESH + timedelta(seconds=1))
    taking = ChangePassword(account=ann, session=session, password="", new_password=PASSWORD)
    for wish in (taking, replace(taking, password="-"), replace(taking, session=SessionId(uuid4()))):
        with pytest.raises(NotAllowed, match="log in again"):
            await ground.wish(wish)
    session = session_of(ground, await signed_on(ground, home))
    await ground.wish(replace(taking, session=session))
    await logged_in(ground)
    with pytest.raises(NotAllowed):  # from now on it is the password
        await ground.wish(replace(taking, session=session))
    await ground.wish(Unlink(account=ann, session=session, password=PASSWORD))


async def test_a_password_that_is_being_changed_is_not_a_missing_one(
    ground: Ground, home: Home, ann: Registered
) -> None:
    """What was forgotten just now must not look like what never was."""
    session = session_of(ground, await logged_in(ground))
    await ground.accounts.forget_password(ann.id, None)
    with pytest.raises(NotAllowed, match="wrong"):
        await ground.wish(EraseAccount(account=ann.id, password="", session=session))


async def test_whoever_was_forgotten_comes_back_as_somebody_new(ground: Ground, home: Home) -> None:
    tokens = await signed_on(ground, home)
    ann = (await whose(ground, tokens)).id
    with pytest.raises(NotAllowed):
        await ground.wish(EraseAccount(account=ann, password=""))
    await ground.wish(EraseAccount(account=ann, password="", session=session_of(ground, tokens)))
    found = await whose(ground, await signed_on(ground, home))
    assert found.id != ann
    assert found.credentials is not None
    assert found.credentials.username == "ann"


async def test_without_a_provider_nobody_is_sent_anywhere(ground: Ground, ann: Registered) -> None:
    for wish in (BeginSignOn(browser=BROWSER), FinishSignOn(browser=BROWSER, state="s", code="c")):
        with pytest.raises(NotFound):
            await ground.wish(wish)


async def test_what_is_under_way_goes_with_the_account(ground: Ground, home: Home, ann: Registered) -> None:
    session = session_of(ground, await logged_in(ground))
    url = await ground.wish(BeginLink(account=ann.id, session=session, password=PASSWORD, browser=BROWSER))
    state, code = home.allow(url)
    await ground.wish(EraseAccount(account=ann.id, password=PASSWORD))
    with pytest.raises(NotAuthenticated):
        await ground.wish(FinishSignOn(browser=BROWSER, state=state, code=code))
    state_of, _ = await ground.dispatcher.needs.streams.load(ACCOUNT, ann.id)
    assert state_of.identity is None
