"""The newest part of the log in memory, decoded once for all read models of the process."""

import asyncio
import logging
from collections.abc import Sequence

from psycopg import InterfaceError, OperationalError

from domain.event import AnyRecorded
from domain.ids import Position
from projections.projection import Feed, Log

logger = logging.getLogger(__name__)

SILENCE_S = 1.0  # then the log is asked whether there is really nothing new
PAUSE_S = 0.2  # before Postgres or the feed is tried again
PAGE = 1_000
KEPT = 20_000  # events, about 1 kB each; who is further behind reads the log


class Tail:
    """Consecutive events up to `end`."""

    def __init__(self, start: Position) -> None:
        self._start = start  # the position before the first event kept
        self._events: list[AnyRecorded] = []
        self._grown = asyncio.Event()

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
            self._grown.set()
            self._grown = asyncio.Event()
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

    async def grows(self, beyond: Position, timeout_s: float) -> bool:
        """Wait until there is something behind a position; False after the time-out."""
        if self.end > beyond:
            return True
        try:
            await asyncio.wait_for(self._grown.wait(), timeout_s)
        except TimeoutError:
            return False
        return True


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
