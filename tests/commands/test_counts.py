"""Followers and comments are counted right, whoever changes their mind, all at the same moment."""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any
from uuid import UUID

import pytest

from commands.comments import DeleteComment, PostComment
from commands.follows import FollowAccount, UnfollowAccount
from commands.shared_outputs import LikeOutput, UnlikeOutput
from commands.workflows import CreateWorkflow
from domain.ids import AccountId, Position
from domain.place import Kind
from projections.comments import COMMENTS_MADE
from projections.follows import FOLLOWS
from projections.projection import Projection
from projections.rows import Rows
from projections.shared_outputs import SHARED_OUTPUTS
from projections.writer import empty
from tests.commands.ground import GRAPH, Ground
from tests.commands.test_notifications import registered, shown_output
from tests.domain.facts import ANN

MANY = [600, pytest.param(10_000, marks=pytest.mark.soak)]


async def folded(ground: Ground, projection: Projection) -> dict[str, Rows[Any]]:
    """The whole log, from empty tables; twice, which gives the same rows."""
    built: list[dict[str, Rows[Any]]] = []
    rows = await ground.log.rows(Position(0), 1_000_000)
    events = await ground.dispatcher.needs.vault.open(
        [each for row in rows if (each := await ground.log.at(row.position)) is not None]
    )
    for _ in range(2):
        buffer = dict(empty(projection, whole=True))
        for recorded in events:
            if projection.events is None or isinstance(recorded.event, projection.events):
                projection.fold(recorded, buffer)
        built.append(buffer)
    for name, table in built[0].items():
        assert table.everything() == built[1][name].everything()
    return built[0]


async def at_once(people: int, person: Callable[[AccountId], Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as all_of_them:
        for number in range(1, people + 1):
            all_of_them.create_task(person(AccountId(UUID(int=number))))


@pytest.mark.parametrize("toggles", MANY)
async def test_followers_are_those_who_follow(ground: Ground, toggles: int) -> None:
    ann, chance, last = await registered(ground, "ann"), Random(toggles), dict[AccountId, bool]()

    async def person(account: AccountId) -> None:
        for follows in [chance.random() < 0.5 for _ in range(4)]:
            kind = FollowAccount if follows else UnfollowAccount
            await ground.wish(kind(by=account, account=ann))
            last[account] = follows
            await asyncio.sleep(0)

    await at_once(toggles // 4, person)
    tables = await folded(ground, FOLLOWS)
    counts = tables["follow_counts"].get(ann)
    assert counts is not None
    assert counts.followers == sum(last.values()) == len(tables["follows"].everything()) > 0


@pytest.mark.parametrize("toggles", MANY)
async def test_likes_of_an_output_are_of_those_who_like_it(ground: Ground, toggles: int) -> None:
    output, chance, last = await shown_output(ground, ANN), Random(toggles), dict[AccountId, bool]()

    async def person(account: AccountId) -> None:
        for likes in [chance.random() < 0.5 for _ in range(4)]:
            kind = LikeOutput if likes else UnlikeOutput
            await ground.wish(kind(by=account, output=output))
            last[account] = likes
            await asyncio.sleep(0)

    await at_once(toggles // 4, person)
    tables = await folded(ground, SHARED_OUTPUTS)
    (row,) = tables["shared_outputs"].everything()
    assert row.likes == sum(last.values()) == len(tables["output_likes"].everything()) > 0


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("toggles", MANY)
async def test_comments_are_those_that_stand(ground: Ground, toggles: int, kind: Kind) -> None:
    if kind is Kind.WORKFLOW:
        wish = CreateWorkflow(owner=ANN, name="Cats", graph=GRAPH, public=True)
        subject = UUID(str((await ground.wish(wish)).id))
    else:
        subject = await shown_output(ground, ANN)
    chance, standing = Random(toggles), [0]

    async def person(account: AccountId) -> None:
        for deletes in [chance.random() < 0.5 for _ in range(2)]:
            said = await ground.wish(PostComment(by=account, kind=kind, subject=subject, text="Nice."))
            standing[0] += not deletes
            for _ in range(2 if deletes else 0):  # the second time changes nothing
                await ground.wish(DeleteComment(by=account, comment=said.id))
            await asyncio.sleep(0)

    await at_once(toggles // 4, person)
    tables = await folded(ground, COMMENTS_MADE)
    (place,) = tables["comment_places"].everything()
    left = [row for row in tables["comments"].everything() if not row.deleted]
    assert (place.id, place.comments) == (subject, standing[0])
    assert place.comments == len(left) > 0
