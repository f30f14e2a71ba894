"""A second factor through the commands: codes once each, recovery codes once each, and no guessing."""

import asyncio
import base64
from datetime import timedelta

import pytest

from commands.accounts import LogIn, Registered, Tokens
from commands.people import ChangeAccount
from commands.second_factor import (
    RECOVERY_CODES,
    BeginFactor,
    Begun,
    TurnedOn,
    TurnOffFactor,
    TurnOnFactor,
)
from domain.account import SecondFactorOff, SecondFactorOn
from domain.ids import SessionId
from domain.refusals import CodeNeeded, Conflict, NotAllowed, NotAuthenticated, TooMany
from domain.totp import STEP_S, code_of, step_at
from tests.commands.ground import Ground
from tests.commands.test_access import session_of
from tests.commands.test_accounts import PASSWORD, joining, logged_in


class Device:
    """What ann holds in her hand."""

    def __init__(self, ground: Ground, begun: Begun) -> None:
        self.ground = ground
        self.secret = base64.b32decode(begun.secret)
        self.factor = begun.factor

    def code(self) -> str:
        return code_of(self.secret, step_at(self.ground.now()))

    def next(self) -> str:
        self.ground.wait(timedelta(seconds=STEP_S))
        return self.code()


@pytest.fixture
async def ann(ground: Ground) -> Registered:
    registered: Registered = await ground.wish(joining())
    return registered


@pytest.fixture
async def session(ground: Ground, ann: Registered) -> SessionId:
    return session_of(ground, await logged_in(ground))


async def begun(ground: Ground, ann: Registered) -> Device:
    return Device(ground, await ground.wish(BeginFactor(account=ann.id, password=PASSWORD)))


async def turned_on(ground: Ground, ann: Registered, session: SessionId) -> tuple[Device, list[str]]:
    device = await begun(ground, ann)
    wish = TurnOnFactor(account=ann.id, session=session, factor=device.factor, code=device.code())
    done: TurnedOn = await ground.wish(wish)
    return device, list(done.recovery_codes)


async def logged_in_with(ground: Ground, code: str) -> Tokens:
    tokens: Tokens = await ground.wish(LogIn(login="ann", password=PASSWORD, code=code))
    return tokens


async def test_nothing_is_asked_for_before_a_first_code(
    ground: Ground, ann: Registered, session: SessionId
) -> None:
    device = await begun(ground, ann)
    await logged_in(ground)
    with pytest.raises(NotAllowed):
        await ground.wish(TurnOnFactor(account=ann.id, session=session, factor=device.factor, code="000000"))
    await logged_in(ground)


async def test_a_code_is_asked_for_beside_the_password(
    ground: Ground, ann: Registered, session: SessionId
) -> None:
    device, codes = await turned_on(ground, ann, session)
    assert len(set(codes)) == RECOVERY_CODES
    with pytest.raises(CodeNeeded):
        await logged_in(ground)
    with pytest.raises(NotAuthenticated) as told:  # who does not know the password learns nothing
        await ground.wish(LogIn(login="ann", password="not this one", code=device.next()))
    assert type(told.value) is NotAuthenticated
    await logged_in_with(ground, device.code())
    assert [event for event in await ground.happened() if isinstance(event, SecondFactorOn)] == [
        SecondFactorOn(factor=device.factor)
    ]


async def test_no_code_is_taken_twice(ground: Ground, ann: Registered, session: SessionId) -> None:
    device, _ = await turned_on(ground, ann, session)
    with pytest.raises(NotAuthenticated):  # it has turned the factor on
        await logged_in_with(ground, device.code())
    code = device.next()
    done = await asyncio.gather(*(logged_in_with(ground, code) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(each, Tokens) for each in done) == 1
    with pytest.raises(NotAuthenticated):
        await logged_in_with(ground, code)


async def test_a_recovery_code_lets_in_once(ground: Ground, ann: Registered, session: SessionId) -> None:
    _, codes = await turned_on(ground, ann, session)
    await logged_in_with(ground, codes[0].upper().replace("-", " "))
    with pytest.raises(NotAuthenticated):
        await logged_in_with(ground, codes[0])
    await logged_in_with(ground, codes[1])


async def test_codes_are_guessed_so_often_only(ground: Ground, ann: Registered, session: SessionId) -> None:
    device, _ = await turned_on(ground, ann, session)
    right = device.next()
    wrong = "111111" if right != "111111" else "222222"
    for _ in range(10):
        with pytest.raises(NotAuthenticated):
            await logged_in_with(ground, wrong)
    with pytest.raises(TooMany):
        await logged_in_with(ground, right)


async def test_it_is_turned_off_with_password_and_code(
    ground: Ground, ann: Registered, session: SessionId
) -> None:
    device, codes = await turned_on(ground, ann, session)
    for password, code in ((PASSWORD, "000000"), ("not this one", device.next())):
        with pytest.raises(NotAllowed):
            await ground.wish(TurnOffFactor(account=ann.id, session=session, password=password, code=code))
    await ground.wish(TurnOffFactor(account=ann.id, session=session, password=PASSWORD, code=codes[0]))
    await logged_in(ground)
    assert any(isinstance(event, SecondFactorOff) for event in await ground.happened())


async def test_there_is_one_at_a_time(ground: Ground, ann: Registered, session: SessionId) -> None:
    first = await begun(ground, ann)
    device, _ = await turned_on(ground, ann, session)
    with pytest.raises(NotAllowed):  # another was begun since
        await ground.wish(
            TurnOnFactor(account=ann.id, session=session, factor=first.factor, code=first.next())
        )
    with pytest.raises(Conflict):
        await begun(ground, ann)
    await logged_in_with(ground, device.code())


async def test_nobody_turns_on_the_factor_of_another(
    ground: Ground, ann: Registered, session: SessionId
) -> None:
    bob = await ground.wish(joining("bob", "bob@example.com"))
    device = await begun(ground, ann)
    his = session_of(ground, await logged_in(ground, login="bob"))
    with pytest.raises(NotAllowed):
        await ground.wish(TurnOnFactor(account=bob.id, session=his, factor=device.factor, code=device.code()))


async def test_who_has_lost_everything_is_let_in_by_an_administrator(
    ground: Ground, ann: Registered, session: SessionId
) -> None:
    await turned_on(ground, ann, session)
    await ground.wish(ChangeAccount(account=ann.id, by=None, reason="She came by.", drop_factor=True))
    await logged_in(ground)
    assert SecondFactorOff(reason="She came by.") in await ground.happened()
