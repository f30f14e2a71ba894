"""What every errand is around what it does."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from commands.ports import LogUnavailableError
from domain.event import AnyRecorded, Recorded
from domain.ids import Actor, Position, WorkflowId
from domain.like import LikeGiven
from services.errand import MOVE_EVERY, PAGE, Following, go_round
from services.ports.dispatching import LogPage
from tests.domain.facts import ANN, NOON

TOPICS = frozenset({"like.given.v1"})


def liked(position: int) -> AnyRecorded:
    return Recorded(
        position=Position(position),
        stream=uuid4(),
        version=1,
        at=NOON,
        owner=ANN,
        actor=Actor("tests"),
        correlation=uuid4(),
        causation=None,
        event=LikeGiven(account=ANN, workflow=WorkflowId(uuid4())),
    )


class Log:
    """So many likes, and others' events up to `end`."""

    def __init__(self, likes: int, end: int) -> None:
        self.likes = [liked(position) for position in range(1, likes + 1)]
        self.end = end

    async def after(self, position: Position, limit: int, topics: frozenset[str]) -> LogPage:
        assert topics == TOPICS
        found = [each for each in self.likes if each.position > position][:limit]
        return LogPage(found, found[-1].position if len(found) == limit else Position(self.end))

    async def grown(self, timeout_s: float) -> None:
        raise AssertionError("Nobody waits here.")


class Noted:
    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []
        self.fails = False

    async def note(self, events: Sequence[AnyRecorded], upto: Position) -> None:
        if self.fails:
            raise LogUnavailableError("away")
        self.calls.append((len(events), upto))


async def test_an_errand_takes_page_after_page_and_then_what_is_new() -> None:
    log, noted = Log(PAGE + 3, end=PAGE + 50), Noted()
    following = Following(log, TOPICS, Position(0), noted.note)
    await following.catch_up()
    await following.catch_up()
    log.likes.append(liked(PAGE + 60))
    log.end = PAGE + 70
    await following.catch_up()
    assert noted.calls == [(PAGE, PAGE), (3, PAGE + 50), (1, PAGE + 70)]


async def test_a_checkpoint_moves_also_behind_much_that_is_others() -> None:
    log, noted = Log(0, end=MOVE_EVERY - 1), Noted()
    following = Following(log, TOPICS, Position(0), noted.note)
    await following.catch_up()
    assert noted.calls == []
    log.end += 1
    await following.catch_up()
    assert noted.calls == [(0, MOVE_EVERY)]


async def test_what_could_not_be_noted_is_taken_again() -> None:
    log, noted = Log(2, end=2), Noted()
    following = Following(log, TOPICS, Position(0), noted.note)
    noted.fails = True
    with pytest.raises(LogUnavailableError):
        await following.catch_up()
    noted.fails = False
    await following.catch_up()
    assert noted.calls == [(2, 2)]


class Leading:
    """Leads at once, until the leadership has been asked for a number of times."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.lost = asyncio.Event()

    def leadership(self, name: str) -> AbstractAsyncContextManager[Any]:
        return self._leadership()

    @asynccontextmanager
    async def _leadership(self) -> Any:
        yield self
        self.lost.set()

    async def held(self) -> bool:
        self.left -= 1
        return self.left >= 0


async def test_an_errand_goes_round_while_it_leads() -> None:
    leading, looks = Leading(3), 0

    async def look() -> None:
        nonlocal looks
        looks += 1

    errand = asyncio.create_task(go_round("errand", leading, look, 0.0))
    async with asyncio.timeout(30):
        await leading.lost.wait()
    assert looks == 3
    errand.cancel()
    with pytest.raises(asyncio.CancelledError):
        await errand
