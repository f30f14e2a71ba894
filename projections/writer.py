"""Folds events into one generation of a read model: rows and checkpoint in one transaction."""

import asyncio
import gc
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from msgspec import Struct
from psycopg import AsyncConnection, AsyncRawCursor, InterfaceError, OperationalError, errors

from domain.event import AnyRecorded, Event
from domain.ids import Position
from projections import generations
from projections.generations import Generation
from projections.pages import uncollected
from projections.projection import Projection, Undecodable
from projections.rows import Rows
from projections.tables import Statement, StoredTable

CACHED_ROWS = 200_000  # of one projection, about 1 kB each; what is older is loaded again


class SteppedBackError(Exception):
    """The checkpoint was moved, or the build replaced, by somebody else: nothing was written."""


class PoisonError(Exception):
    """An event that the fold or the tables do not take."""

    def __init__(self, position: Position, reason: str) -> None:
        super().__init__(f"Event {position} cannot be folded: {reason}")
        self.position = position
        self.reason = reason


class Batch(Struct, frozen=True):
    """Events that are taken in together, and the checkpoint behind them."""

    events: Sequence[AnyRecorded]
    upto: Position


class Writer:
    """One build's writer, over a connection made ready by `prepare`.

    Rows stay in memory between batches: whoever else writes moves the checkpoint, and then they are dropped.
    """

    def __init__(
        self,
        projection: Projection,
        generation: Generation,
        connection: AsyncConnection[Any],
        skips: Collection[int] = (),
    ) -> None:
        self.skips = skips  # positions of events that are left out
        self.projection = projection
        self.generation = generation
        self.position = generation.position
        self.connection = connection
        self._cursor = AsyncRawCursor(connection)
        self._stored = {table.name: StoredTable(table, generation.schema) for table in projection.tables}
        self._rows = empty(projection)
        self._looked_at = None if projection.events is None else {*projection.events, Undecodable}
        self._topics = projection.topics
        self._storing: tuple[asyncio.Task[None], Batch] | None = None

    def wanted(self, events: Sequence[AnyRecorded]) -> Sequence[AnyRecorded]:
        """Of events in order those that are new to this build, and that its fold looks at."""
        if (
            self._looked_at is not None
        ):  # most are for others: their kind is looked at first, and nothing else
            events = [each for each in events if type(each.event) in self._looked_at]
        if events and events[0].position <= self.position:
            events = [each for each in events if each.position > self.position]
        if self.skips:
            events = [each for each in events if each.position not in self.skips]
        return [each for each in events if type(each.event) is not Undecodable or self._unreadable(each)]

    def passes(self, upto: Position) -> bool:
        """Whether the way to a position leads past events that are left out."""
        return any(self.position < position <= upto for position in self.skips)

    async def apply(self, events: Sequence[AnyRecorded], upto: Position) -> None:
        """Take in events and move the checkpoint. Raises SteppedBackError, PoisonError, psycopg.OperationalError.

        Before a PoisonError everything in front of the poison was taken in.
        """
        await self.settle()
        await self.take_in(self.wanted(events), upto)

    async def take_in(self, events: Sequence[AnyRecorded], upto: Position) -> None:
        """As `apply`, events that are all wanted, by who does not apply ahead."""
        try:
            opened = await self.projection.opened(events)
            await self._load(self._missing(opened))
            await self._store(self._folded(opened), upto)
        except Exception as error:
            await self._failed(Batch(events, upto), error)

    async def apply_ahead(self, events: Sequence[AnyRecorded], upto: Position) -> None:
        """As `apply`, but Postgres stores them while the next ones are folded: `settle` waits for it.

        Raises what `apply` raises, for these events or for those before.
        """
        batch = Batch(self.wanted(events), upto)
        try:
            opened = await self.projection.opened(batch.events)
            if self._missing(opened):
                await self.settle()  # it may have to drop the rows
                await self._load(self._missing(opened))
            statements = await asyncio.to_thread(self._folded_for_long, opened)
        except Exception as error:
            await self.settle()
            await self._failed(batch, error)
            return
        if await self.settle():
            self._storing = asyncio.create_task(self._store(statements, upto)), batch
        else:
            await self.apply(batch.events, upto)

    async def settle(self) -> bool:
        """Wait until all that was taken in is stored. Raises what `apply` raises.

        False: it had to be taken in anew, and the rows in memory with it.
        """
        if self._storing is None:
            return True
        (storing, batch), self._storing = self._storing, None
        try:
            await storing
        except Exception as error:
            await self._failed(batch, error)
            return False
        return True

    async def abandon(self) -> None:
        """Let go of what is being stored, so that the connection is free."""
        gc.unfreeze()
        if self._storing is not None:
            (storing, _), self._storing = self._storing, None
            storing.cancel()
            await asyncio.gather(storing, return_exceptions=True)

    async def _failed(self, batch: Batch, error: Exception) -> None:
        """Find the event at fault, if it is one's fault."""
        self._rows = empty(self.projection)  # the fold may have changed rows that were not stored
        if _passes(error) or isinstance(error, SteppedBackError | PoisonError):
            raise error
        if isinstance(error, errors.UndefinedTable | errors.InvalidSchemaName):
            raise SteppedBackError(self.projection.name) from error  # replaced, and dropped since
        await self._find_poison(batch.events, batch.upto, error)

    async def _find_poison(self, events: Sequence[AnyRecorded], upto: Position, error: Exception) -> None:
        """Halve the batch until the event at fault stands alone."""
        if not events:
            raise error
        if len(events) == 1:
            await self._stand_before(events[0].position)
            raise PoisonError(events[0].position, f"{type(error).__name__}: {error}") from error
        half = len(events) // 2
        await self.apply(events[:half], events[half - 1].position)
        await self.apply(events[half:], upto)

    async def _stand_before(self, poison: Position) -> None:
        if poison - 1 > self.position:
            await self._store([], Position(poison - 1))

    def _missing(self, events: Sequence[AnyRecorded]) -> dict[str, list[Any]]:
        """For each table the groups of rows that the fold needs and that are not in memory."""
        missing = {}
        found: dict[type[Event], list[AnyRecorded]] = {}
        for each in events:
            found.setdefault(type(each.event), []).append(each)
        for name, rows in self._rows.items():
            table = rows.table
            if table.begins and (begun := _of(table.begins, found)):
                rows.load(rows.unknown(each.stream for each in begun), ())
            touching = _of(table.touched_at, found)
            if touching and (groups := rows.unknown(chain.from_iterable(map(table.touched, touching)))):
                missing[name] = groups
        return missing

    async def _load(self, missing: Mapping[str, Sequence[Any]]) -> None:
        for name, groups in missing.items():
            self._rows[name].load(groups, await self._stored[name].load(self.connection, groups))

    def _folded(self, events: Sequence[AnyRecorded]) -> list[Statement]:
        """Fold events whose rows are in memory; what they have changed."""
        with uncollected():
            fold, rows = self.projection.fold, self._rows
            for recorded in events:
                if type(recorded.event) is Undecodable:
                    raise ValueError(recorded.event.reason)
                fold(recorded, rows)
            statements = list(self._statements())
        if sum(map(len, rows.values())) > CACHED_ROWS:
            self._rows = empty(self.projection)
        return statements

    def _folded_for_long(self, events: Sequence[AnyRecorded]) -> list[Statement]:
        """As `_folded`; until all is settled the collector need not walk through the rows that are kept."""
        with uncollected():
            statements = self._folded(events)
            gc.freeze()
        return statements

    async def _store(self, changes: Sequence[Statement], upto: Position) -> None:
        left_out = [position for position in self.skips if self.position < position <= upto]
        if not await generations.advance(
            self._cursor, self.generation, self.position, upto, left_out, changes
        ):
            raise SteppedBackError(self.projection.name)
        self.position = upto

    def _statements(self) -> Iterator[Statement]:
        for name, stored in self._stored.items():
            changed, gone = self._rows[name].take()
            if changed:
                yield stored.upserting(changed)
            if gone:
                yield stored.deleting(gone)

    def _unreadable(self, recorded: AnyRecorded) -> bool:
        event = recorded.event
        return type(event) is Undecodable and (self._topics is None or event.topic_name in self._topics)


def _of(
    kinds: frozenset[type[Event]] | None, found: Mapping[type[Event], Sequence[AnyRecorded]]
) -> Sequence[AnyRecorded]:
    """Of events by their kind those of some kinds; None = of all."""
    return [each for kind, events in found.items() if kinds is None or kind in kinds for each in events]


def empty(projection: Projection, *, whole: bool = False) -> dict[str, Rows[Any]]:
    return {table.name: Rows(table, whole=whole) for table in projection.tables}


def _passes(error: Exception) -> bool:
    """Whether it may go well another time, with the same event: Postgres is away, busy or short of something."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    return (error.sqlstate or "")[:2] != "54"  # too long for an index: a property of the event
