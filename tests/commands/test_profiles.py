"""What somebody shows of themselves: sealed in the log, its picture beside it, and gone with them."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from commands.accounts import Registered
from commands.avatars import Avatar
from commands.erasure import EraseAccount
from commands.profiles import ChangeProfile, RemoveAvatar, SetAvatar, texts
from domain.ids import AccountId, profile_id
from domain.profile import PROFILE
from domain.refusals import Invalid, NotAuthenticated
from tests.commands.ground import Ground
from tests.commands.test_accounts import PASSWORD, joining

PICTURE = Avatar(b"a picture", "image/webp")
WORDS: dict[str, Any] = {
    "display_name": "  Ann  <b>of</b> the foxes \U0001f469\u200d\U0001f4bb ",
    "bio": "I draw foxes.\r\n\tMostly.\n",
    "links": ("https://example.org/ann?a=1#top", "http://example.net"),
}


@pytest.fixture
async def ann(ground: Ground) -> Registered:
    registered: Registered = await ground.wish(joining())
    return registered


async def shown(ground: Ground, id: AccountId) -> dict[str, str]:
    needs = ground.dispatcher.needs
    state, _ = await needs.streams.load(PROFILE, profile_id(id))
    return await texts(id, state, needs)


async def test_what_is_said_is_kept_sealed_and_as_it_was_written(ground: Ground, ann: Registered) -> None:
    await ground.wish(ChangeProfile(account=ann.id, **WORDS))
    assert await shown(ground, ann.id) == {
        "display_name": "Ann <b>of</b> the foxes \U0001f469\u200d\U0001f4bb",
        "bio": "I draw foxes.\n\tMostly.",
        "links": "https://example.org/ann?a=1#top\nhttp://example.net",
    }
    stored = b"".join(row.state for row in await ground.log.rows(ann.accepted.position, 100))
    assert b"fox" not in stored
    assert b"example" not in stored


async def test_what_is_said_again_changes_nothing(ground: Ground, ann: Registered) -> None:
    await ground.wish(ChangeProfile(account=ann.id, **WORDS))
    assert (await ground.wish(ChangeProfile(account=ann.id, **WORDS))).position == 0
    await ground.wish(ChangeProfile(account=ann.id, bio=""))
    left = await shown(ground, ann.id)
    assert left["bio"] == ""
    assert left["display_name"].startswith("Ann")
    assert (await ground.wish(ChangeProfile(account=ann.id, bio=" "))).position == 0


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"display_name": "x" * 81}, "display_name"),
        ({"display_name": "a\u202egnp.exe"}, "display_name"),
        ({"display_name": "a\x1b[2J"}, "display_name"),
        ({"bio": "x" * 2001}, "bio"),
        ({"bio": "a\u2066b"}, "bio"),
        ({"bio": "a\x00b"}, "bio"),
        ({"links": ["https://example.org"] * 9}, "links"),
        ({"links": ["https://example.org", "javascript:alert(1)"]}, "links.1"),
        ({"links": ["data:text/html,<script>alert(1)</script>"]}, "links.0"),
        ({"links": ["https://ann:secret@example.org"]}, "links.0"),
        ({"links": ["https://example.org/\nhttps://evil.example"]}, "links.0"),
        ({"links": ["//example.org"]}, "links.0"),
        ({"links": [""]}, "links.0"),
        ({"links": ["https://example.org/" + "x" * 500]}, "links.0"),
        ({"links": ["https://example.org/#a b"]}, "links.0"),
    ],
)
async def test_what_cannot_be_shown_is_refused(
    ground: Ground, ann: Registered, wrong: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        await ground.wish(ChangeProfile(account=ann.id, **wrong))
    assert [each.field for each in refusal.value.errors] == [field]
    assert set((await shown(ground, ann.id)).values()) == {""}


async def test_a_picture_takes_the_place_of_the_one_before(ground: Ground, ann: Registered) -> None:
    avatars = ground.dispatcher.needs.avatars
    await ground.wish(SetAvatar(account=ann.id, avatar=PICTURE))
    state, _ = await ground.dispatcher.needs.streams.load(PROFILE, profile_id(ann.id))
    assert state.avatar is not None
    first = state.avatar
    assert await avatars.find(first) == PICTURE
    other = Avatar(b"another", "image/webp")
    await asyncio.gather(*(ground.wish(SetAvatar(account=ann.id, avatar=other)) for _ in range(3)))
    state, _ = await ground.dispatcher.needs.streams.load(PROFILE, profile_id(ann.id))
    assert state.avatar is not None
    assert await avatars.find(state.avatar) == other
    assert await avatars.find(first) is None
    await ground.wish(RemoveAvatar(account=ann.id))
    assert await avatars.find(state.avatar) is None
    assert (await ground.wish(RemoveAvatar(account=ann.id))).position == 0


async def test_a_wish_sent_twice_leaves_one_picture(ground: Ground, ann: Registered) -> None:
    avatars = ground.dispatcher.needs.avatars
    for _ in range(2):
        await ground.wish(SetAvatar(account=ann.id, avatar=PICTURE), actor=str(ann.id), key="once")
    state, _ = await ground.dispatcher.needs.streams.load(PROFILE, profile_id(ann.id))
    assert state.avatar is not None
    assert await avatars.find(state.avatar) == PICTURE


async def test_whoever_is_forgotten_shows_nothing(ground: Ground, ann: Registered) -> None:
    await ground.wish(ChangeProfile(account=ann.id, **WORDS))
    await ground.wish(SetAvatar(account=ann.id, avatar=PICTURE))
    state, _ = await ground.dispatcher.needs.streams.load(PROFILE, profile_id(ann.id))
    assert state.avatar is not None
    await ground.wish(EraseAccount(account=ann.id, password=PASSWORD))
    assert set((await shown(ground, ann.id)).values()) == {""}
    assert await ground.dispatcher.needs.avatars.find(state.avatar) is None
    for account in (ann.id, AccountId(uuid4())):
        for wish in (
            ChangeProfile(account=account, bio="Still here."),
            SetAvatar(account=account, avatar=PICTURE),
            RemoveAvatar(account=account),
        ):
            with pytest.raises(NotAuthenticated):
                await ground.wish(wish)
