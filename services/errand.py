"""What every errand is around what it does: in one process at a time, and again, whatever went wrong."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from commands.ports import LogUnavailableError, ObjectsAwayError, OutcomeUnknownError
from domain.event import AnyRecorded
from domain.ids import Position
from services.ports.dispatching import RunLog
from services.ports.relaying import Leadership

logger = logging.getLogger(__name__)

PAGE = 500
POLL_S = 1.0  # a wake-up may be lost
REST_S = 1.0  # a busy log grows all the time, and what comes at about the same time is gathered
MOVE_EVERY = 10_000  # positions; so much of the log is looked through again after a crash, at most
PAUSE_S = 2.0  # before something that failed is tried again
AWAY: tuple[type[Exception], ...] = (LogUnavailableError, ObjectsAwayError, OutcomeUnknownError)


class Leading(Protocol):
    def leadership(self, name: str) -> Leadership: ...


class ErrandLog(RunLog, Leading, Protocol):
    """The log as errands follow it."""


class Checkpoint(Protocol):
    """Every method raises LogUnavailableError."""

    async def position(self) -> Position: ...

    async def move(self, upto: Position) -> None: ...


Take = Callable[[Sequence[AnyRecorded]], Awaitable[None]]
Note = Callable[[Sequence[AnyRecorded], Position], Awaitable[None]]
"""Stores what events say, none perhaps, together with a checkpoint behind them."""


async def lead(
    name: str,
    log: Leading,
    work: Callable[[Leadership], Awaitable[None]],
    away: tuple[type[Exception], ...] = AWAY,
) -> None:
    """For ever. `work` returns when the leadership is lost; where it fails, it begins anew after a pause.

    `away`: how it fails when somebody else is at fault, and nobody need look into it.
    """
    while True:
        try:
            async with log.leadership(name) as leadership:
                await work(leadership)
        except away as error:
            logger.warning("errand waits", extra={"errand": name, "reason": str(error)})
        except Exception:  # the outermost loop: nothing is ever given up
            logger.exception("errand failed", extra={"errand": name})
        await asyncio.sleep(PAUSE_S)


async def go_round(name: str, log: Leading, look: Callable[[], Awaitable[None]], every_s: float) -> None:
    """Look through all there is, from time to time, for ever."""

    async def work(leadership: Leadership) -> None:
        while await leadership.held():
            await look()
            await asyncio.sleep(every_s)

    await lead(name, log, work)


async def react(
    name: str,
    log: ErrandLog,
    checkpoint: Checkpoint,
    topics: frozenset[str],
    take: Take,
    *,
    rest_s: float = REST_S,
) -> None:
    """Take the events of some topics, page by page, for ever. The checkpoint moves behind what was taken."""

    async def note(events: Sequence[AnyRecorded], upto: Position) -> None:
        if events:
            await take(events)
        await checkpoint.move(upto)

    async def work(leadership: Leadership) -> None:
        position = await checkpoint.position()
        following = Following(log, topics, position, note)
        while await leadership.held():
            await following.catch_up()
            await rest(log, rest_s)

    await lead(name, log, work)


class Following:
    """Where an errand is in the log, and where it would begin again."""

    def __init__(self, log: RunLog, topics: frozenset[str], position: Position, note: Note) -> None:
        self._log = log
        self._topics = topics
        self._position = self._stored = position
        self._note = note

    async def catch_up(self) -> None:
        """Note all that has come. Raises what noting raises, and LogUnavailableError."""
        while True:
            page = await self._log.after(self._position, PAGE, self._topics)
            if page.events or page.upto - self._stored >= MOVE_EVERY:
                await self._note(page.events, page.upto)
                self._stored = page.upto
            self._position = page.upto
            if len(page.events) < PAGE:
                return


async def rest(log: RunLog, rest_s: float = REST_S) -> None:
    """Until the log grows, and a while longer."""
    await log.grown(POLL_S)
    await asyncio.sleep(rest_s)
