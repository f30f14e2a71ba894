"""Who decides about whom, and that somebody is always left who can."""

import asyncio
from itertools import permutations
from typing import Any

import pytest

from commands.accounts import GiveRole, LogIn, Refresh, Tokens
from commands.api_keys import MakeApiKey, holder
from commands.erasure import EraseAccount, FinishErasure
from commands.people import ChangeAccount
from domain.account import ACCOUNT, AccountReinstated, AccountSuspended, Role, RoleGiven
from domain.api_key import Scope
from domain.ids import AccountId
from domain.refusals import Conflict, Invalid, NotAllowed, NotAuthenticated, NotFound
from tests.commands.ground import Ground
from tests.commands.test_accounts import PASSWORD, joining, logged_in


async def joined(ground: Ground, name: str, role: Role = Role.MEMBER) -> AccountId:
    id = AccountId((await ground.wish(joining(name, f"{name}@example.com"))).id)
    if role is not Role.MEMBER:
        await ground.wish(GiveRole(username=name, role=role))
    return id


async def change(ground: Ground, by: AccountId | None, account: AccountId, **what: Any) -> Any:
    return await ground.wish(
        ChangeAccount(account=account, by=by, reason="Because.", **what), actor=str(by or "operator")
    )


async def role(ground: Ground, account: AccountId) -> Role:
    state, _ = await ground.dispatcher.needs.streams.load(ACCOUNT, account)
    return state.role


async def test_an_administrator_gives_a_role_and_the_log_says_who_and_why(ground: Ground) -> None:
    ann, bob = await joined(ground, "ann", Role.ADMIN), await joined(ground, "bob")
    accepted = await change(ground, ann, bob, role=Role.MODERATOR)
    recorded = await ground.log.at(accepted.position)
    assert recorded is not None
    assert recorded.event == RoleGiven(role=Role.MODERATOR, reason="Because.")
    assert (recorded.actor, recorded.owner) == (str(ann), bob)
    assert (await change(ground, ann, bob, role=Role.MODERATOR)).position == 0


@pytest.mark.parametrize("giver", [Role.MEMBER, Role.MODERATOR])
async def test_nobody_else_does(ground: Ground, giver: Role) -> None:
    ann, bob = await joined(ground, "ann", giver), await joined(ground, "bob")
    for what in ({"role": Role.ADMIN}, {"suspended": True}, {"suspended": False}):
        with pytest.raises(NotAllowed):
            await change(ground, ann, bob, **what)
        with pytest.raises(Conflict):
            await change(ground, ann, ann, **what)


async def test_of_two_administrators_who_demote_each_other_at_once_one_is_left(ground: Ground) -> None:
    ann, bob = await joined(ground, "ann", Role.ADMIN), await joined(ground, "bob", Role.ADMIN)
    done = await asyncio.gather(
        change(ground, ann, bob, role=Role.MEMBER),
        change(ground, bob, ann, role=Role.MEMBER),
        return_exceptions=True,
    )
    assert sum(isinstance(each, NotAllowed) for each in done) == 1
    assert sorted([await role(ground, ann), await role(ground, bob)]) == [Role.ADMIN, Role.MEMBER]


async def test_however_many_turn_on_each_other_an_administrator_is_left(ground: Ground) -> None:
    admins = [await joined(ground, f"admin{number}", Role.ADMIN) for number in range(4)]
    wishes = [
        change(ground, by, whom, **what)
        for by, whom in permutations(admins, 2)
        for what in ({"role": Role.MEMBER}, {"suspended": True})
    ]
    await asyncio.gather(*wishes, return_exceptions=True)
    states = [(await ground.dispatcher.needs.streams.load(ACCOUNT, each))[0] for each in admins]
    assert sum(state.administers for state in states) == 1


async def test_an_administrator_is_not_erased_while_there_is_no_other(ground: Ground) -> None:
    ann, bob = await joined(ground, "ann", Role.ADMIN), await joined(ground, "bob")
    erasing = EraseAccount(account=ann, password=PASSWORD)
    with pytest.raises(Conflict, match="Another administrator"):
        await ground.wish(erasing)
    await change(ground, ann, bob, role=Role.ADMIN)
    await change(ground, bob, ann, role=Role.MEMBER)
    await ground.wish(erasing)


async def test_an_erasure_that_has_begun_is_finished_whatever_the_role(ground: Ground) -> None:
    ann = await joined(ground, "ann", Role.ADMIN)
    await ground.wish(FinishErasure(account=ann))
    with pytest.raises(NotFound):
        await change(ground, None, ann, role=Role.ADMIN)


async def test_whoever_is_suspended_is_out_by_every_way(ground: Ground) -> None:
    ann, bob = await joined(ground, "ann", Role.ADMIN), await joined(ground, "bob")
    tokens: Tokens = await logged_in(ground, login="bob")
    key = await ground.wish(MakeApiKey(by=bob, name="bot", scopes=(Scope.READ,)))
    needs = ground.dispatcher.needs
    assert await holder(key.text, needs) is not None

    await change(ground, ann, bob, suspended=True)

    assert await holder(key.text, needs) is None
    with pytest.raises(NotAuthenticated):
        await ground.wish(Refresh(refresh_token=tokens.refresh_token))
    with pytest.raises(NotAllowed, match=r"suspended: Because\."):
        await ground.wish(LogIn(login="bob", password=PASSWORD))
    with pytest.raises(NotAuthenticated):  # who does not know the password learns nothing
        await ground.wish(LogIn(login="bob", password="not this one"))

    await change(ground, ann, bob, suspended=False)

    assert await holder(key.text, needs) is not None
    await logged_in(ground, login="bob")
    with pytest.raises(NotAuthenticated):
        await ground.wish(Refresh(refresh_token=tokens.refresh_token))
    told = [
        event for event in await ground.happened() if isinstance(event, AccountSuspended | AccountReinstated)
    ]
    assert told == [AccountSuspended(reason="Because.", epoch=1), AccountReinstated(reason="Because.")]


async def test_a_suspended_administrator_decides_nothing(ground: Ground) -> None:
    ann, bob = await joined(ground, "ann", Role.ADMIN), await joined(ground, "bob", Role.ADMIN)
    await change(ground, ann, bob, suspended=True)
    with pytest.raises(NotAllowed):
        await change(ground, bob, ann, suspended=True)


async def test_a_reason_is_needed(ground: Ground) -> None:
    bob = await joined(ground, "bob")
    with pytest.raises(Invalid):
        await ground.wish(ChangeAccount(account=bob, by=None, reason=" ", suspended=True))
