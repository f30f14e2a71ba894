"""Keeps the live read models of a process up to date: one tail of the log, one follower for each.

Any number of processes may do so: of each read model one holds the lock and follows, the others stand by; the
checkpoint, moved together with the rows, is the fence.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection, InterfaceError, OperationalError, errors

from domain.account import AccountErased
from domain.ids import Position
from projections import generations
from projections.generations import Generation
from projections.jobs import WISHES
from projections.overtaking import SwapFailedError
from projections.pages import Connect, LogPages
from projections.passing import Passing
from projections.projection import Feed, Log, Projection
from projections.rebuild import GRACE_S, BusyError, rebuild
from projections.skips import skipped
from projections.tables import prepare
from projections.tail import PAUSE_S, Tail, fill
from projections.writer import PoisonError, SteppedBackError, Writer

logger = logging.getLogger(__name__)

BATCH = 2_000
STEP_BACK_S = 0.02
GATHER_FROM = (
    8  # events, twice in a row: so many more will follow that fewer, larger batches are worth a pause
)
GATHER_S = 0.05  # and at least twice what the batch took: where there is little time for us, take it in larger pieces
LONGEST_GATHER_S = 0.25
STAND_BY_S = 0.5
RETRY_PARKED_S = 10.0
TIDY_S = 30.0
BULK_FROM = 50_000  # events; below, a new read model simply follows from the beginning


class Runner:
    """Follows the log for some read models until cancelled."""

    def __init__(
        self,
        projections: Sequence[Projection],
        connect: Connect,
        feed: Feed,
        log: Log | None = None,
        *,
        grace_s: float = GRACE_S,
    ) -> None:
        self._grace_s = grace_s
        self._projections = projections
        self._connect = connect
        self._feed = feed
        self._pages = LogPages(connect)
        self._log = log or self._pages

    async def run(self) -> None:
        """Never returns by itself; Postgres and the feed may come and go."""
        passing = Passing(self._connect)
        try:
            tail = Tail(await self._head())
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fill(tail, self._feed, self._log), name="tail")
                for projection in self._projections:
                    follower = Follower(
                        projection, self._connect, tail, self._log, passing, grace_s=self._grace_s
                    )
                    tasks.create_task(follower.run(), name=f"follow {projection.name}")
        finally:
            await passing.close()
            await self._pages.close()

    async def _head(self) -> Position:
        while True:
            try:
                return await self._log.head()
            except (OperationalError, InterfaceError) as error:
                logger.warning("the log cannot be read", extra={"reason": str(error)})
                await asyncio.sleep(PAUSE_S)


class Follower:
    """Keeps one read model up to date."""

    def __init__(
        self,
        projection: Projection,
        connect: Connect,
        tail: Tail,
        log: Log,
        passing: Passing,
        *,
        grace_s: float = GRACE_S,
    ) -> None:
        self._grace_s = grace_s
        self._passing = passing
        self._projection = projection
        self._connect = connect
        self._tail = tail
        self._log = log
        self._topics = projection.topics
        self._awaited = (
            frozenset() if projection.unhurried else projection.events and frozenset(projection.events)
        )
        self._parked_at: Position | None = None
        self._tidied = time.monotonic()

    async def run(self) -> None:
        name = self._projection.name
        while True:
            try:
                async with await self._connect() as connection:
                    await self._lead(connection)
            except (OperationalError, InterfaceError) as error:
                logger.warning("postgres is away", extra={"projection": name, "reason": str(error)})
                await asyncio.sleep(PAUSE_S)
            except (BusyError, SwapFailedError) as refusal:
                logger.info("waiting for another builder", extra={"projection": name, "reason": str(refusal)})
                await asyncio.sleep(STAND_BY_S)
            except Exception:  # a fault of ours must not stop the other read models
                logger.exception("read model stopped; trying again", extra={"projection": name})
                await asyncio.sleep(STAND_BY_S)

    async def _lead(self, connection: AsyncConnection[Any]) -> None:
        """Wait for the lock, then follow until the connection is lost."""
        await prepare(connection)
        query, lock = b"SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", self._projection.name
        while (row := await (await connection.execute(query, (f"comfyplus follow {lock}",))).fetchone()) and (
            not row[0]
        ):
            await asyncio.sleep(STAND_BY_S)
        while True:
            skips = await skipped(connection, lock)
            generation = await self._generation(connection, skips)
            if generation is None:
                await asyncio.sleep(STAND_BY_S)
                continue
            try:
                await self._follow(Writer(self._projection, generation, connection, skips))
            except SteppedBackError:
                logger.info("another build took over", extra={"projection": generation.name})
                await asyncio.sleep(STEP_BACK_S)
            except PoisonError as poison:
                await self._park(connection, generation, Position(poison.position - 1), poison, skips)

    async def _generation(self, connection: AsyncConnection[Any], skips: frozenset[int]) -> Generation | None:
        """The live build of this program's version, made if need be; None while there is none to be followed."""
        projection = self._projection
        live = await generations.live(connection, projection.name)
        if live is not None and live.version > projection.version:
            return None
        if live is not None and live.version == projection.version and live.honours(skips):
            return live
        long = await self._log.head() > BULK_FROM
        try:
            await rebuild(projection, self._connect, bulk=long or live is not None, grace_s=self._grace_s)
        except PoisonError as poison:
            if live is not None:
                await self._park(connection, live, live.position, poison, skips)
                return None
            await self._begin_empty(connection)
        return await generations.live(connection, projection.name)

    async def _begin_empty(self, connection: AsyncConnection[Any]) -> None:
        made = await generations.begin(connection, self._projection)
        made = await generations.complete(connection, self._projection, made, Position(0))
        await generations.swap(connection, self._projection, made)

    async def _follow(self, writer: Writer) -> None:
        """Take in what comes. Raises SteppedBackError, PoisonError, psycopg.OperationalError."""
        seen, many = writer.position, False
        while True:
            events = self._tail.after(seen, BATCH)
            if events is None:
                page = await self._log.after(seen, BATCH, self._topics)
                events, upto = page.events, page.upto
            else:
                upto = events[-1].position if events else seen
            if wanted := writer.wanted(events):
                began = time.monotonic()
                await writer.take_in(wanted, upto)
                if any(type(recorded.event) is AccountErased for recorded in wanted):
                    await self._forget_replaced(writer)
                many, before = len(events) >= GATHER_FROM, many
                if many and before and len(events) < BATCH:
                    took_s = time.monotonic() - began
                    await asyncio.sleep(min(max(GATHER_S, 2 * took_s), LONGEST_GATHER_S))
            elif upto > writer.position:
                await self._pass(writer, upto)
            seen = upto
            if not await self._tail.grows(seen, self._awaited, STAND_BY_S):
                await self._tidy(writer)

    async def _pass(self, writer: Writer, upto: Position) -> None:
        """Move the checkpoint past events that are not looked at. Raises what `_follow` raises."""
        if writer.passes(upto):
            await writer.apply((), upto)
        elif await self._passing.move(writer.generation, writer.position, upto):
            writer.position = upto
        else:
            raise SteppedBackError(writer.generation.name)

    async def _tidy(self, writer: Writer) -> None:
        """In quiet moments: look whether the build was replaced, and drop those that were."""
        if time.monotonic() - self._tidied < TIDY_S:
            return
        self._tidied = time.monotonic()
        name = self._projection.name
        live = await generations.live(writer.connection, name)
        if live is None or live.generation != writer.generation.generation:
            raise SteppedBackError(name)
        if await skipped(writer.connection, name) != writer.skips:
            raise SteppedBackError(name)
        await generations.drop_left_over(writer.connection, name, self._grace_s, building=False)

    async def _forget_replaced(self, writer: Writer) -> None:
        """Builds kept to go back to still hold what somebody wants forgotten."""
        if self._projection.personal:
            await generations.drop_left_over(writer.connection, self._projection.name, 0.0, building=False)

    async def _park(
        self,
        connection: AsyncConnection[Any],
        generation: Generation,
        before: Position,
        poison: PoisonError,
        skips: frozenset[int],
    ) -> None:
        """Stand still, with an alarm; look again later or when told to, others go on meanwhile."""
        if self._parked_at != poison.position:
            logger.error(
                "read model parked: an event cannot be folded",
                extra={
                    "projection": generation.name,
                    "position": poison.position,
                    "reason": poison.reason,
                },
            )
        self._parked_at = poison.position
        try:
            await generations.park(connection, generation, before, poison.position, poison.reason)
        except errors.DataError:  # the reason quotes something Postgres cannot store
            await generations.park(connection, generation, before, poison.position, "unprintable")
        await self._rest(connection, skips)

    async def _rest(self, connection: AsyncConnection[Any], skips: frozenset[int]) -> None:
        name = self._projection.name
        await connection.execute(f"LISTEN {WISHES}".encode())
        if await skipped(connection, name) == skips:  # else it was decided before we listened
            async for told in connection.notifies(timeout=RETRY_PARKED_S):
                if told.payload == name:
                    break
        await connection.execute(f"UNLISTEN {WISHES}".encode())
