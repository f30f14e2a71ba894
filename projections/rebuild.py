"""Build a read model anew beside the live one, from the first event, and lead the views to it.

First in bulk: everything is folded in memory and copied into tables without indexes. Then in batches, as the
live builder does, until it is not behind. Readers of the live build notice nothing.
"""

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct
from psycopg import AsyncConnection, errors

from domain.event import AnyRecorded
from domain.ids import Position
from projections import generations
from projections.generations import Generation
from projections.pages import Connect, LogPages, uncollected
from projections.projection import Page, Projection, Undecodable
from projections.tables import StoredTable, prepare
from projections.writer import PoisonError, Writer, empty

logger = logging.getLogger(__name__)

BULK_PAGE = 5_000  # events; about 2 MB
BATCH = 20_000  # events folded before rows are written: a run that came and went meanwhile is written once
MEMORY_ROWS = 1_500_000  # a bulk load that needs more goes on in batches, where rows are forgotten
OVERTAKE_S = 60.0  # of trying to get in front of the live build, under any load
GRACE_S = 60.0  # a replaced build is kept for readers that still hold it


class Progress(Struct, frozen=True):
    """How far a rebuild is, in positions of the log."""

    done: int
    total: int
    events_s: float
    eta_s: float


class Rebuilt(Struct, frozen=True):
    """What a rebuild did: up to where, how long it took, and how long the swap held the checkpoints."""

    generation: int
    position: Position
    elapsed_s: float
    bulk_s: float
    swap_s: float


Told = Callable[[Progress], None]


class BusyError(Exception):
    """Somebody else is building this read model just now."""


class SwapFailedError(Exception):
    """The new build did not get in front of the live one, or its readers never paused."""


async def rebuild(
    projection: Projection,
    connect: Connect,
    told: Told = lambda _: None,
    *,
    bulk: bool = True,
    grace_s: float = GRACE_S,
) -> Rebuilt:
    """Raises BusyError, PoisonError, SwapFailedError, psycopg.OperationalError; then the live build is unchanged.

    `bulk=False` builds in batches only, with little memory.
    """
    begun = time.monotonic()
    connection = await connect()
    pages = LogPages(connect, reads=projection.reads)
    try:
        await prepare(connection)
        if not await _lock(connection, projection.name):
            raise BusyError(f"{projection.name} is being built already.")
        await generations.drop_left_over(connection, projection.name, grace_s, building=True)
        made = await generations.begin(connection, projection)
        try:
            meter = _Meter(await pages.head(), told)
            position = await _load(projection, made, connection, pages, meter) if bulk else Position(0)
            made = await generations.complete(connection, projection, made, position)
            bulk_s = time.monotonic() - begun
            writer = Writer(projection, made, connection)
            swap_s = await _overtake(projection, made, writer, pages, meter)
        except BaseException:
            await _give_up(connection, made)
            raise
        elapsed_s = time.monotonic() - begun
        logger.info("read model rebuilt", extra={"projection": made.name, "position": writer.position})
        return Rebuilt(made.generation, writer.position, elapsed_s, bulk_s, swap_s)
    finally:
        await pages.close()
        await connection.close()


async def _load(
    projection: Projection,
    made: Generation,
    connection: AsyncConnection[Any],
    pages: LogPages,
    meter: "_Meter",
) -> Position:
    """Fold all that is there in memory and copy it. The next page is fetched while one is folded."""
    stored = [StoredTable(table, made.schema) for table in projection.tables]
    growing = [table for table in stored if table.table.grows_only]
    rows, topics, position = empty(projection, whole=True), projection.topics, Position(0)
    fetching = asyncio.create_task(pages.fetch(position, BULK_PAGE, topics))
    try:
        while (page := await fetching).upto > position and sum(map(len, rows.values())) < MEMORY_ROWS:
            fetching = asyncio.create_task(pages.fetch(page.upto, BULK_PAGE, topics))
            try:
                unpacked = partial(pages.unpack, page)
                if projection.personal:
                    sealed = await asyncio.to_thread(unpacked)
                    unpacked = partial(list, await projection.opened(sealed))
                await asyncio.to_thread(_take_in, projection, unpacked, rows)
            except msgspec.DecodeError:
                slowly = await pages.one_by_one(position, page.upto, topics)
                _fold(projection, await projection.opened(slowly), rows)
            for table in growing:
                added = rows[table.table.name]
                await table.copy(connection, added.everything())
                added.forget()
            position = page.upto
            meter.tell(position)
        for table in stored:
            await table.copy(connection, rows.pop(table.table.name).everything())
        return position
    finally:
        gc.unfreeze()
        await _cancelled(fetching)


def _take_in(
    projection: Projection, unpacked: Callable[[], Sequence[AnyRecorded]], rows: dict[str, Any]
) -> None:
    with uncollected():
        _fold(projection, unpacked(), rows)
        gc.freeze()  # what is kept is kept to the end: no collector need walk through it


def _fold(projection: Projection, events: Sequence[AnyRecorded], rows: dict[str, Any]) -> None:
    fold, recorded = projection.fold, None
    try:
        for recorded in events:
            fold(recorded, rows)
            if type(recorded.event) is Undecodable:
                raise ValueError(recorded.event.reason)
    except Exception as error:  # whatever a fold may raise
        assert recorded is not None
        raise PoisonError(recorded.position, f"{type(error).__name__}: {error}") from error


async def _overtake(
    projection: Projection, made: Generation, writer: Writer, pages: LogPages, meter: "_Meter"
) -> float:
    """Follow the log in batches until the views can be led here. Returns how long the swap took."""
    topics, deadline = projection.topics, None
    fetching: asyncio.Task[Page] | None = None
    while True:
        before = writer.position
        page = await (fetching or pages.after(before, BATCH, topics))
        far = page.upto == before + BATCH
        fetching = asyncio.create_task(pages.after(page.upto, BATCH, topics)) if far else None
        if page.upto > before:
            try:
                await writer.apply(page.events, page.upto)
            except BaseException:
                await _cancelled(fetching)
                raise
            meter.tell(writer.position)
        if far:
            continue
        deadline = deadline or time.monotonic() + OVERTAKE_S
        begun = time.monotonic()
        try:
            if await generations.swap(writer.connection, projection, made):
                return time.monotonic() - begun
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            logger.info("readers hold the views; the swap is tried again", extra={"projection": made.name})
        if time.monotonic() > deadline:
            raise SwapFailedError(f"{projection.name} could not be swapped.")
        await asyncio.sleep(0)


async def _cancelled(task: asyncio.Task[Any] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _lock(connection: AsyncConnection[Any], name: str) -> bool:
    """One builder at a time; the lock ends with the connection."""
    query = b"SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
    row = await (await connection.execute(query, (f"comfyplus rebuild {name}",))).fetchone()
    return bool(row and row[0])


async def _give_up(connection: AsyncConnection[Any], made: Generation) -> None:
    """What cannot be dropped now is dropped by the next rebuild."""
    if not connection.closed and not connection.broken:
        await generations.drop(connection, made.name, made.generation)


class _Meter:
    """Tells how far it is, at most ten times a second."""

    def __init__(self, total: Position, told: Told) -> None:
        self._total, self._told = total, told
        self._begun = time.monotonic()
        self._last = 0.0

    def tell(self, done: Position) -> None:
        now = time.monotonic()
        if now - self._last < 0.1 and done < self._total:
            return
        self._last = now
        rate = done / max(now - self._begun, 1e-6)
        total = max(self._total, done)
        self._told(Progress(done, total, rate, (total - done) / max(rate, 1.0)))
