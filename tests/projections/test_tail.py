"""Who waits for the log is woken for what concerns him at once, and for everything else when the log pauses."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

from domain.event import AnyRecorded, Event, Recorded
from domain.ids import Actor, Position
from domain.workflow import WorkflowDescribed, WorkflowWithdrawn
from projections.tail import Tail

LONG_S = 30.0
MINE, OTHERS = WorkflowDescribed(description="mine"), WorkflowWithdrawn()
WANTED = frozenset({WorkflowDescribed})


def recorded(position: int, event: Event) -> AnyRecorded:
    return Recorded(
        position=Position(position),
        stream=uuid4(),
        version=1,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        owner=None,
        actor=Actor("tests"),
        correlation=UUID(int=0),
        causation=None,
        event=event,
    )


async def waiting(tail: Tail, beyond: int, wanted: frozenset[type[Event]] | None) -> asyncio.Task[bool]:
    task = asyncio.create_task(tail.grows(Position(beyond), wanted, LONG_S))
    await asyncio.sleep(0)
    return task


async def test_a_wanted_event_wakes_at_once_and_another_does_not() -> None:
    tail = Tail(Position(0))
    mine, everybodys, nobodys = [await waiting(tail, 0, each) for each in (WANTED, None, frozenset())]
    tail.add([recorded(1, MINE)])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (mine.done(), everybodys.done(), nobodys.done()) == (True, True, False)
    assert await nobodys  # in the pause that follows


async def test_what_nobody_wants_is_looked_at_when_the_log_pauses() -> None:
    tail = Tail(Position(0))
    mine = await waiting(tail, 0, WANTED)
    tail.add([recorded(1, OTHERS)])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not mine.done()
    assert await mine


async def test_who_was_busy_while_it_came_is_not_kept_waiting() -> None:
    tail = Tail(Position(0))
    tail.add([recorded(1, OTHERS), recorded(2, MINE)])
    assert await tail.grows(Position(0), WANTED, LONG_S)
    assert await tail.grows(Position(2), WANTED, 0.01) is False  # all of it was seen


async def test_who_was_busy_during_the_pause_still_looks_at_what_has_come() -> None:
    tail = Tail(Position(0))
    woken = await waiting(tail, 0, frozenset())
    tail.add([recorded(1, OTHERS)])
    assert await woken
    assert await tail.grows(Position(0), frozenset(), LONG_S)


async def test_a_log_that_never_pauses_does_not_keep_anybody_waiting_for_ever() -> None:
    tail = Tail(Position(0))
    patient = await waiting(tail, 0, frozenset())
    for position in range(1, 100_000):
        tail.add([recorded(position, OTHERS)])
        await asyncio.sleep(0.001)
        if patient.done():
            break
    assert await patient
