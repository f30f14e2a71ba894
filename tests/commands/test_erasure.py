"""Forgetting an account: in which order, how often, and what is left."""

from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace

from commands.access import ChangeEmail
from commands.accounts import LogIn, Refresh, Registered, Tokens
from commands.dispatcher import Dispatcher
from commands.erasure import EraseAccount, FinishErasure
from domain.account import AccountErased, AccountRegistered
from domain.ids import AccountId, Position
from domain.refusals import Conflict, NotAllowed, NotAuthenticated, NotFound
from domain.reservation import NameReleased
from tests.commands.ground import Ground
from tests.commands.test_accounts import PASSWORD, joining, logged_in, session_of


@pytest.fixture
async def ann(ground: Ground) -> Registered:
    registered: Registered = await ground.wish(joining())
    return registered


def erasing(ann: Registered, password: str = PASSWORD, *, with_published: bool = False) -> EraseAccount:
    return EraseAccount(account=ann.id, password=password, with_published=with_published)


async def test_an_account_is_forgotten(ground: Ground, ann: Registered) -> None:
    tokens = await logged_in(ground)
    before = await ground.log.head()
    await ground.wish(erasing(ann, with_published=True))
    released = NameReleased(account=ann.id)
    assert await ground.happened(before) == [AccountErased(with_published=True), released, released]
    assert list(ground.erasures.list) == [ann.id]
    assert (ground.accounts.credentials, ground.accounts.account_keys) == ({}, {})
    with pytest.raises(NotAuthenticated):
        await ground.wish(Refresh(refresh_token=tokens.refresh_token))
    with pytest.raises(NotAuthenticated):
        await ground.wish(LogIn(login="ann", password=PASSWORD))


async def test_its_name_can_never_be_read_again(ground: Ground, ann: Registered) -> None:
    async def name() -> str | None:
        (opened,) = await ground.vault.open([await ground.log.at(Position(3))])  # type: ignore[list-item]
        assert isinstance(opened.event, AccountRegistered)
        return opened.event.username.text

    assert await name() == "Ann"
    await ground.wish(erasing(ann))
    assert await name() is None


async def test_twice_changes_nothing_more(ground: Ground, ann: Registered) -> None:
    await ground.wish(erasing(ann))
    head = await ground.log.head()
    for password in (PASSWORD, "wrong"):
        assert (await ground.wish(erasing(ann, password))).position == 0
    assert await ground.log.head() == head


async def test_not_without_the_password(ground: Ground, ann: Registered) -> None:
    with pytest.raises(NotAllowed):
        await ground.wish(erasing(ann, "wrong horse"))
    assert await ground.log.head() == 3
    assert ground.erasures.list == {}
    await logged_in(ground)


async def test_nobody_cannot_be_forgotten(ground: Ground) -> None:
    nobody = AccountId(uuid4())
    with pytest.raises(NotAllowed):
        await ground.wish(EraseAccount(account=nobody, password=PASSWORD))
    with pytest.raises(NotFound):
        await ground.wish(FinishErasure(account=nobody))
    assert ground.erasures.list == {}


async def test_its_names_are_anybodys(ground: Ground, ann: Registered) -> None:
    await ground.wish(erasing(ann))
    heir = await ground.wish(joining())
    assert heir.id != ann.id
    await ground.wish(FinishErasure(account=ann.id))  # again, later: the heir keeps what is theirs
    with pytest.raises(Conflict, match="already taken"):
        await ground.wish(joining())
    await logged_in(ground)


async def test_a_registration_sent_again_does_not_bring_it_back(ground: Ground) -> None:
    ann = await ground.wish(joining(), key="k")
    await ground.wish(erasing(ann))
    with pytest.raises(Conflict, match="erased"):
        await ground.wish(joining(), key="k")
    assert ground.accounts.account_keys == {}


class Dying:
    """Dies at one of its steps."""

    def __init__(self, real: Any, at: str) -> None:
        self._real, self._at = real, at

    def __getattr__(self, name: str) -> Any:
        if name == self._at:
            raise ConnectionError("killed")
        return getattr(self._real, name)


@pytest.mark.parametrize("step", ["note", "erase"])
async def test_what_was_begun_is_finished_whenever_it_died(
    ground: Ground, ann: Registered, step: str
) -> None:
    needs = ground.dispatcher.needs
    ground.dispatcher = Dispatcher(
        replace(needs, erasures=Dying(ground.erasures, step), accounts=Dying(ground.accounts, step))
    )
    with pytest.raises(ConnectionError):
        await ground.wish(erasing(ann))
    assert list(ground.accounts.account_keys) == [ann.id]
    assert ground.erasures.list == ({ann.id: ground.now()} if step == "erase" else {})
    ground.dispatcher = Dispatcher(needs)
    await ground.wish(FinishErasure(account=ann.id))
    assert (ground.accounts.account_keys, ground.accounts.credentials) == ({}, {})
    assert isinstance(ground.erasures.list[ann.id], datetime)


async def test_a_session_that_was_open_ends_with_it(ground: Ground, ann: Registered) -> None:
    tokens: Tokens = await logged_in(ground)
    await ground.wish(FinishErasure(account=ann.id))
    with pytest.raises(NotAuthenticated):
        await ground.wish(Refresh(refresh_token=tokens.refresh_token))


async def test_an_address_that_was_taken_again_is_given_back_once(ground: Ground, ann: Registered) -> None:
    session = session_of(ground, await logged_in(ground))
    for email in ("ann@example.org", "ann@example.com"):
        await ground.wish(ChangeEmail(account=ann.id, session=session, password=PASSWORD, email=email))
    await ground.wish(erasing(ann))
    assert (await ground.wish(joining())).id != ann.id
