"""The last part of every change of builds: follow the log in batches until the views can be led to a build."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from msgspec import Struct
from psycopg import errors

from domain.ids import Position
from projections import generations
from projections.pages import LogPages
from projections.projection import Page
from projections.skips import skipped
from projections.writer import Writer

logger = logging.getLogger(__name__)

BATCH = 20_000  # events folded before rows are written: a run that came and went meanwhile is written once
OVERTAKE_S = 60.0  # of trying to get in front of the live build, under any load


class Progress(Struct, frozen=True):
    """How far a build is, in positions of the log."""

    done: int
    total: int
    events_s: float
    eta_s: float


Told = Callable[[Progress], None]


class SwapFailedError(Exception):
    """The new build did not get in front of the live one, its readers never paused, or it is not what is wanted."""


class Meter:
    """Tells how far it is, at most ten times a second."""

    def __init__(self, total: Position, told: Told, start: Position = Position(0)) -> None:
        self._total, self._told, self._start = total, told, start
        self._begun = time.monotonic()
        self._last = 0.0

    def tell(self, done: Position) -> None:
        now = time.monotonic()
        if now - self._last < 0.1 and done < self._total:
            return
        self._last = now
        rate = (done - self._start) / max(now - self._begun, 1e-6)
        total = max(self._total, done)
        self._told(Progress(done, total, rate, (total - done) / max(rate, 1.0)))


Finish: TypeAlias = Callable[[], Awaitable[None]]
"""What is still to be done when a build is not far behind any more."""


async def overtake(writer: Writer, pages: LogPages, meter: Meter, finish: Finish | None = None) -> float:
    """Returns how long the swap took, in seconds.

    Raises SwapFailedError, and what `Writer.apply` and `finish` raise.
    """
    try:
        return await _overtake(writer, pages, meter, finish)
    finally:
        await writer.abandon()


async def _overtake(writer: Writer, pages: LogPages, meter: Meter, finish: Finish | None) -> float:
    name, topics, deadline = writer.projection.name, writer.projection.topics, None
    fetching: asyncio.Task[Page] | None = None
    reached = writer.position
    while True:
        page = await (fetching or pages.after(reached, BATCH, topics))
        far = page.upto == reached + BATCH
        fetching = asyncio.create_task(pages.after(page.upto, BATCH, topics)) if far else None
        try:
            if far:
                await writer.apply_ahead(page.events, page.upto)
            elif page.upto > reached:
                await writer.apply(page.events, page.upto)
        except BaseException:
            await cancelled(fetching)
            raise
        reached = page.upto
        meter.tell(reached)
        if far:
            continue
        await writer.settle()
        if finish is not None:
            await finish()
            finish = None
            continue  # the log went on meanwhile
        deadline = deadline or time.monotonic() + OVERTAKE_S
        await _check_skips(writer)
        begun = time.monotonic()
        try:
            if await generations.swap(writer.connection, writer.projection, writer.generation):
                return time.monotonic() - begun
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            logger.info("readers hold the views; the swap is tried again", extra={"projection": name})
        if time.monotonic() > deadline:
            raise SwapFailedError(f"{name} could not be swapped.")
        await asyncio.sleep(0)


async def cancelled(task: asyncio.Task[Any] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _check_skips(writer: Writer) -> None:
    """What was decided meanwhile holds for this build too."""
    skips = await skipped(writer.connection, writer.projection.name)
    changed = skips ^ set(writer.skips)
    if any(position <= writer.position for position in changed):
        raise SwapFailedError("Which events are left out was decided anew meanwhile. Please begin again.")
    writer.skips = skips
