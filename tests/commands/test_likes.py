"""Many people who like something, and change their minds, at the same moment."""

import asyncio
from random import Random
from uuid import UUID

import pytest

from commands.likes import LikeWorkflow, UnlikeWorkflow
from commands.workflows import ChangeWorkflow, CreateWorkflow
from domain.ids import AccountId, Position, WorkflowId, like_id
from domain.refusals import NotFound
from projections.gallery import GALLERY
from projections.writer import empty
from tests.commands.ground import GRAPH, Ground
from tests.domain.facts import ANN, BOB


async def toggled(ground: Ground, workflow: WorkflowId, toggles: int) -> int:
    """How many like it in the end, each one's wishes in order, all of them at once."""
    chance, last = Random(toggles), dict[AccountId, bool]()

    async def person(account: AccountId, wishes: list[bool]) -> None:
        for likes in wishes:
            kind = LikeWorkflow if likes else UnlikeWorkflow
            await ground.wish(kind(by=account, workflow=workflow))
            await asyncio.sleep(0)
        last[account] = wishes[-1]

    people = [AccountId(UUID(int=number)) for number in range(1, toggles // 4 + 1)]
    async with asyncio.TaskGroup() as all_at_once:
        for account in people:
            all_at_once.create_task(person(account, [chance.random() < 0.5 for _ in range(4)]))
    return sum(last.values())


async def counted(ground: Ground, workflow: WorkflowId) -> int:
    """By the gallery, from an empty one."""
    buffer = empty(GALLERY, whole=True)
    for row in await ground.log.rows(Position(0), 1_000_000):
        recorded = await ground.log.at(row.position)
        assert recorded is not None
        GALLERY.fold(recorded, buffer)
    counts = buffer["gallery_counts"].get(workflow)
    assert counts is not None
    assert counts.likes == len(buffer["gallery_likes"].everything())
    return int(counts.likes)


@pytest.mark.parametrize("toggles", [600, pytest.param(10_000, marks=pytest.mark.soak)])
async def test_the_count_is_right_whoever_changes_their_mind(ground: Ground, toggles: int) -> None:
    saved = await ground.wish(CreateWorkflow(owner=ANN, name="Cats", graph=GRAPH, public=True))
    expected = await toggled(ground, saved.id, toggles)
    assert expected > 0
    assert await counted(ground, saved.id) == expected


async def test_what_is_hidden_is_liked_by_nobody_new(ground: Ground) -> None:
    saved = await ground.wish(CreateWorkflow(owner=ANN, name="Cats", graph=GRAPH, public=True))
    assert (await ground.wish(LikeWorkflow(by=BOB, workflow=saved.id))).position > 0
    assert (await ground.wish(LikeWorkflow(by=BOB, workflow=saved.id))).position == 0
    await ground.wish(ChangeWorkflow(by=ANN, workflow=saved.id, public=False))
    stranger = AccountId(UUID(int=7))
    for wish in (LikeWorkflow, UnlikeWorkflow):
        with pytest.raises(NotFound):
            await ground.wish(wish(by=stranger, workflow=saved.id))
        with pytest.raises(NotFound):
            await ground.wish(wish(by=stranger, workflow=WorkflowId(UUID(int=8))))
    assert (await ground.wish(UnlikeWorkflow(by=BOB, workflow=saved.id))).position > 0
    assert await ground.told(like_id(BOB, saved.id)) == ["like.given.v1", "like.taken_back.v1"]
