"""Keys through the commands: told once, gone when they are revoked, when they expire, and with their account."""

from datetime import timedelta

import pytest

from commands.accounts import GiveRole, RegisterAccount
from commands.api_keys import MadeApiKey, MakeApiKey, RevokeApiKey, holder, still_good
from domain.account import Role
from domain.api_key import Scope
from domain.ids import AccountId, ApiKeyId
from domain.refusals import Conflict, Invalid, NotFound
from tests.commands.ground import Ground


async def joined(ground: Ground, name: str = "ann") -> AccountId:
    wish = RegisterAccount(username=name, email=f"{name}@example.org", password="correct horse")
    return AccountId((await ground.wish(wish)).id)


async def made(ground: Ground, by: AccountId, *scopes: Scope, **more: object) -> MadeApiKey:
    key = more.pop("key", None)
    wish = MakeApiKey(by=by, name="bot", scopes=scopes or (Scope.READ,), **more)  # type: ignore[arg-type]
    answer: MadeApiKey = await ground.wish(wish, actor=str(by), key=key)  # type: ignore[arg-type]
    return answer


async def lets_in(ground: Ground, key: MadeApiKey) -> bool:
    found = await holder(key.text, ground.dispatcher.needs)
    good = await still_good([key.row.key], ground.dispatcher.needs)
    assert (found is not None) == bool(good)
    return found is not None


async def test_a_key_lets_its_account_in(ground: Ground) -> None:
    ann = await joined(ground)
    key = await made(ground, ann, Scope.READ, Scope.EVENTS)
    found = await holder(key.text, ground.dispatcher.needs)
    assert found is not None
    assert (found.account, found.scopes) == (ann, (Scope.EVENTS, Scope.READ))


async def test_neither_its_text_nor_its_name_is_in_the_log(ground: Ground) -> None:
    key = await made(ground, await joined(ground))
    (event,) = (await ground.happened(after=3))[-1:]
    assert key.text not in repr(event)
    assert "bot" not in repr(event)


async def test_the_same_request_gets_the_same_key(ground: Ground) -> None:
    ann = await joined(ground)
    first, again = await made(ground, ann, key="k"), await made(ground, ann, key="k")
    assert first.text == again.text
    assert first.row.key == again.row.key
    assert len(await ground.dispatcher.needs.api_keys.of(ann)) == 1


async def test_the_same_request_after_it_was_revoked_says_so(ground: Ground) -> None:
    ann = await joined(ground)
    first = await made(ground, ann, key="k")
    await ground.wish(RevokeApiKey(by=ann, key=first.row.key))
    with pytest.raises(Conflict, match="revoked since"):
        await made(ground, ann, key="k")


async def test_a_revoked_key_lets_nobody_in(ground: Ground) -> None:
    ann = await joined(ground)
    key, other = await made(ground, ann), await made(ground, ann)
    assert (await ground.wish(RevokeApiKey(by=ann, key=key.row.key))).position > 0
    assert (await ground.wish(RevokeApiKey(by=ann, key=key.row.key))).position == 0
    assert not await lets_in(ground, key)
    assert await lets_in(ground, other)


async def test_a_stranger_revokes_nothing(ground: Ground) -> None:
    ann, bob = await joined(ground), await joined(ground, "bob")
    key = await made(ground, ann)
    with pytest.raises(NotFound):
        await ground.wish(RevokeApiKey(by=bob, key=key.row.key))
    assert await lets_in(ground, key)


async def test_a_key_whose_making_was_cut_short_can_be_revoked(ground: Ground) -> None:
    ann = await joined(ground)
    key = await made(ground, ann)
    id = ApiKeyId(ground.dispatcher.needs.new_id())
    row = type(key.row)(key=id, account=ann, name="x", scopes=(Scope.READ,), made_at=key.row.made_at)
    await ground.dispatcher.needs.api_keys.add(row, b"hash")
    assert (await ground.wish(RevokeApiKey(by=ann, key=id))).position == 0
    assert [each.key for each in await ground.dispatcher.needs.api_keys.of(ann)] == [key.row.key]


async def test_an_expired_key_lets_nobody_in(ground: Ground) -> None:
    key = await made(ground, await joined(ground), expires_at=ground.now() + timedelta(hours=1))
    assert await lets_in(ground, key)
    ground.wait(timedelta(hours=1))
    assert not await lets_in(ground, key)


async def test_a_key_for_everything_ends_with_the_role(ground: Ground) -> None:
    ann = await joined(ground)
    await ground.wish(GiveRole(username="ann", role=Role.ADMIN))
    every, plain = await made(ground, ann, Scope.ALL_EVENTS), await made(ground, ann, Scope.EVENTS)
    assert await lets_in(ground, every)
    await ground.wish(GiveRole(username="ann", role=Role.MEMBER))
    assert not await lets_in(ground, every)
    assert await lets_in(ground, plain)


async def test_keys_end_with_the_credentials_of_their_account(ground: Ground) -> None:
    ann = await joined(ground)
    key = await made(ground, ann)
    await ground.accounts.remove(ann)
    assert not await lets_in(ground, key)


async def test_use_is_noted_once_a_minute(ground: Ground) -> None:
    ann = await joined(ground)
    key = await made(ground, ann)
    seen = []
    for pause in (0, 30, 31):
        ground.wait(timedelta(seconds=pause))
        assert await lets_in(ground, key)
        seen.append((await ground.dispatcher.needs.api_keys.of(ann))[0].used_at)
    assert seen[0] == seen[1]
    assert seen[2] == ground.now()


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\tb"])
async def test_a_name_that_cannot_be_shown_is_refused(ground: Ground, name: str) -> None:
    ann = await joined(ground)
    with pytest.raises(Invalid):
        await ground.wish(MakeApiKey(by=ann, name=name, scopes=(Scope.READ,)))
