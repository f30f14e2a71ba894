"""The newest part of the log in memory, decoded once for all read models of the process."""

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence

from psycopg import InterfaceError, OperationalError

from domain.event import AnyRecorded, Event
from domain.ids import Position
from projections.projection import Feed, Log

logger = logging.getLogger(__name__)

SILENCE_S = 1.0  # then the log is asked whether there is really nothing new
PAUSE_S = 0.2  # before Postgres or the feed is tried again
PAGE = 1_000
KEPT = 20_000  # events, about 1 kB each; who is further behind reads the log
QUIET_S = (
    0.03  # after so long a pause of the log everybody looks at what has come: longer than the relay gathers
)
LATEST_S = 0.25  # and so long after it has come at the latest


class Tail:
    """Consecutive events up to `end`. Who waits is woken for the kinds of events that he wants, and in every pause."""

    def __init__(self, start: Position) -> None:
        self._start = start  # the position before the first event kept
        self._events: list[AnyRecorded] = []
        self._waiting: dict[asyncio.Future[None], Collection[type[Event]] | None] = {}
        self._looked_at = start  # the end when everybody was woken last
        self._first_at: float | None = None  # when the oldest came that is behind it
        self._last_at = 0.0

    @property
    def end(self) -> Position:
        return Position(self._start + len(self._events))

    def add(self, events: Sequence[AnyRecorded]) -> bool:
        """Append what is new of events in order. False: there is a gap, which the log must fill first."""
        fresh = [recorded for recorded in events if recorded.position > self.end]
        if fresh and fresh[-1].position != self.end + len(fresh):
            return False
        if fresh:
            self._events.extend(fresh)
            kinds = {type(recorded.event) for recorded in fresh}
            self._wake(
                waiter
                for waiter, wanted in self._waiting.items()
                if wanted is None or not kinds.isdisjoint(wanted)
            )
            self._await_pause()
        if len(self._events) > KEPT:
            surplus = len(self._events) - KEPT // 2
            del self._events[:surplus]
            self._start = Position(self._start + surplus)
        return True

    def after(self, position: Position, limit: int) -> list[AnyRecorded] | None:
        """The next events; None when they are no longer kept."""
        if position < self._start:
            return None
        first = position - self._start
        return self._events[first : first + limit]

    async def grows(self, beyond: Position, wanted: Collection[type[Event]] | None, timeout_s: float) -> bool:
        """Wait until there is a wanted event behind a position, or any, and the log pauses; False after the time-out.

        `wanted`: None = all.
        """
        if (
            self._looked_at > beyond
            or beyond < self._start
            or _any(self._events[beyond - self._start :], wanted)
        ):
            return True
        waiter = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = wanted
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError:
            return False
        finally:
            del self._waiting[waiter]
        return True

    def _await_pause(self) -> None:
        loop = asyncio.get_running_loop()
        self._last_at = loop.time()
        if self._first_at is None:
            self._first_at = self._last_at
            loop.call_at(self._last_at + QUIET_S, self._look)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        assert self._first_at is not None
        due_at = min(self._last_at + QUIET_S, self._first_at + LATEST_S)
        if loop.time() < due_at:
            loop.call_at(due_at, self._look)
            return
        self._first_at = None
        self._looked_at = self.end
        self._wake(self._waiting)

    @staticmethod
    def _wake(waiters: Iterable[asyncio.Future[None]]) -> None:
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


def _any(events: Sequence[AnyRecorded], wanted: Collection[type[Event]] | None) -> bool:
    if wanted is None:
        return bool(events)
    return any(type(recorded.event) in wanted for recorded in events)


async def fill(tail: Tail, feed: Feed, log: Log) -> None:
    """Keep the tail at the log's head, for ever: from the feed, and from the log where the feed fails."""
    while True:
        try:
            if not await _from_feed(tail, feed):
                while tail.add((page := await log.after(tail.end, PAGE)).events) and len(page.events) == PAGE:
                    continue
        except (OperationalError, InterfaceError) as error:
            logger.warning("the log cannot be read", extra={"reason": str(error)})
            await asyncio.sleep(PAUSE_S)


async def _from_feed(tail: Tail, feed: Feed) -> bool:
    """False: silence, a gap, or no feed at all."""
    try:
        events = await feed.next(tail.end, SILENCE_S)
    except Exception as error:  # whatever the feed is made of; the log goes on without it
        logger.warning("the feed failed", extra={"position": tail.end, "reason": repr(error)})
        await asyncio.sleep(PAUSE_S)
        return False
    return bool(events) and tail.add(events)
