"""Build a read model anew beside the live one, from the first event, and lead the views to it.

First in bulk: everything is folded in memory and copied into tables without indexes. Then in batches, as the
live builder does, until it is not behind. Readers of the live build notice nothing.
"""

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct
from psycopg import AsyncConnection

from domain.event import AnyRecorded
from domain.ids import Position
from projections import generations
from projections.generations import Generation
from projections.indexes import make_lacking, making, script
from projections.overtaking import Meter, Told, cancelled, overtake
from projections.pages import Connect, LogPages, uncollected
from projections.projection import Projection, Undecodable
from projections.skips import skipped
from projections.tables import StoredTable, prepare
from projections.writer import PoisonError, Writer, empty

logger = logging.getLogger(__name__)

BULK_PAGE = 5_000  # events; about 2 MB
MEMORY_ROWS = 1_500_000  # a bulk load that needs more goes on in batches, where rows are forgotten
GRACE_S = 3_600.0  # for so long the build that was replaced is kept, to go back to


class Rebuilt(Struct, frozen=True):
    """What a rebuild did: up to where, how long it took, and how long the swap held the checkpoints."""

    generation: int
    position: Position
    elapsed_s: float
    bulk_s: float
    swap_s: float


class BusyError(Exception):
    """Somebody else is building this read model just now."""


@asynccontextmanager
async def holding(name: str, connect: Connect) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection that may write read models and is the only one to build this one. Raises BusyError.

    The lock ends with the connection, whatever happens to the process.
    """
    connection = await connect()
    try:
        await prepare(connection)
        query, lock = b"SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", f"comfyplus rebuild {name}"
        row = await (await connection.execute(query, (lock,))).fetchone()
        if not row or not row[0]:
            raise BusyError(f"{name} is being built already.")
        yield connection
    finally:
        await connection.close()


async def rebuild(
    projection: Projection,
    connect: Connect,
    told: Told = lambda _: None,
    *,
    bulk: bool = True,
    grace_s: float = GRACE_S,
) -> Rebuilt:
    """Raises BusyError, and what `build` raises."""
    async with holding(projection.name, connect) as connection:
        return await build(projection, connection, connect, told, bulk=bulk, grace_s=grace_s)


async def build(
    projection: Projection,
    connection: AsyncConnection[Any],
    connect: Connect,
    told: Told = lambda _: None,
    *,
    bulk: bool = True,
    grace_s: float = GRACE_S,
) -> Rebuilt:
    """Over a connection that holds the builder's lock. A build that died in its batches is gone on with.

    Raises PoisonError, SwapFailedError, psycopg.OperationalError; then the live build is unchanged.
    `bulk=False` builds in batches only, with little memory.
    """
    begun, name = time.monotonic(), projection.name
    skips = await skipped(connection, name)
    made = await generations.unfinished(connection, projection)
    made = made if made is not None and made.honours(skips) else None
    keep = made.generation if made else 0
    await generations.drop_left_over(connection, name, grace_s, building=True, keep=keep)
    pages = LogPages(connect, reads=projection.reads)
    try:
        meter = Meter(await pages.head(), told, made.position if made else Position(0))
        if made is None:
            made = await generations.begin(connection, projection)
            position = Position(0)
            if bulk:
                position = await _load(projection, made, connection, connect, pages, meter, skips)
            made = await generations.complete(connection, projection, made, position, skips, indexed=False)
        bulk_s = time.monotonic() - begun
        writer = Writer(projection, made, connection, skips)
        finish = partial(make_lacking, connection, connect, made.schema, script(projection.sql))
        swap_s = await overtake(writer, pages, meter, finish)
    except BaseException as error:
        if made is not None and not (isinstance(error, asyncio.CancelledError) and made.position):
            await _give_up(connection, made)
        raise
    finally:
        await pages.close()
    elapsed_s = time.monotonic() - begun
    logger.info("read model rebuilt", extra={"projection": name, "position": writer.position})
    return Rebuilt(made.generation, writer.position, elapsed_s, bulk_s, swap_s)


async def _load(
    projection: Projection,
    made: Generation,
    connection: AsyncConnection[Any],
    connect: Connect,
    pages: LogPages,
    meter: Meter,
    skips: frozenset[int],
) -> Position:
    """Fold all that is there in memory and copy it. The next page is fetched while one is folded.

    Keys and indexes of one table are made while the next is copied; of a log that is not at its end, the keys.
    """
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
                    sealed = _without(skips, await asyncio.to_thread(unpacked))
                    unpacked = partial(list, await projection.opened(sealed))
                await asyncio.to_thread(_take_in, projection, unpacked, rows, skips)
            except msgspec.DecodeError:
                slowly = _without(skips, await pages.one_by_one(position, page.upto, topics))
                _fold(projection, await projection.opened(slowly), rows)
            for table in growing:
                added = rows[table.table.name]
                await table.copy(connection, added.everything())
                added.forget()
            position = page.upto
            meter.tell(position)
        said = script(projection.sql)
        wanted = said.keys if page.upto > position else (*said.keys, *said.indexes)
        async with making(connect, made.schema, wanted) as indexes:
            for table in sorted(stored, key=lambda each: len(rows[each.table.name]), reverse=True):
                await table.copy(connection, rows.pop(table.table.name).everything())
                indexes.begin(table.table.name)
        return position
    finally:
        gc.unfreeze()
        await cancelled(fetching)


def _take_in(
    projection: Projection,
    unpacked: Callable[[], Sequence[AnyRecorded]],
    rows: dict[str, Any],
    skips: frozenset[int],
) -> None:
    with uncollected():
        _fold(projection, _without(skips, unpacked()), rows)
        gc.freeze()  # what is kept is kept to the end: no collector need walk through it


def _without(skips: frozenset[int], events: Sequence[AnyRecorded]) -> Sequence[AnyRecorded]:
    return [each for each in events if each.position not in skips] if skips else events


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


async def _give_up(connection: AsyncConnection[Any], made: Generation) -> None:
    """What cannot be dropped now is dropped by the next rebuild."""
    if not connection.closed and not connection.broken:
        await generations.drop(connection, made.name, made.generation, "building")
