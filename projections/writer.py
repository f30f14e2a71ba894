"""Folds events into one generation of a read model: rows and checkpoint in one transaction."""

import time
from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from typing import Any

from psycopg import AsyncConnection, Error, InterfaceError, OperationalError, errors

from domain.event import AnyRecorded
from domain.ids import Position
from projections import generations
from projections.generations import Generation
from projections.pages import uncollected
from projections.projection import Projection, Undecodable
from projections.rows import Rows
from projections.tables import Statement, StoredTable

CACHED_ROWS = 200_000  # of one projection, about 1 kB each; what is older is loaded again
CHANNEL = "read_positions"
# psycopg does not flush the end of a pipeline that is longer than the socket's buffer, and then waits for ever
PIPELINED_BYTES = 32 * 1024


class SteppedBackError(Exception):
    """The checkpoint was moved, or the build replaced, by somebody else: nothing was written."""


class PoisonError(Exception):
    """An event that the fold or the tables do not take."""

    def __init__(self, position: Position, reason: str) -> None:
        super().__init__(f"Event {position} cannot be folded: {reason}")
        self.position = position
        self.reason = reason


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
        self._stored = {table.name: StoredTable(table, generation.schema) for table in projection.tables}
        self._rows = empty(projection)
        self._wanted = None if projection.events is None else frozenset(projection.events)
        self._topics = projection.topics

    def wants(self, recorded: AnyRecorded) -> bool:
        """Whether an event is new to this build, and one that its fold looks at."""
        return (
            recorded.position > self.position
            and (self._wanted is None or type(recorded.event) in self._wanted or self._unreadable(recorded))
            and recorded.position not in self.skips
        )

    async def apply(self, events: Sequence[AnyRecorded], upto: Position) -> None:
        """Take in events and move the checkpoint. Raises SteppedBackError, PoisonError, psycopg.OperationalError.

        Before a PoisonError everything in front of the poison was taken in.
        """
        try:
            await self._apply([each for each in events if self.wants(each)], upto)
        except SteppedBackError:
            self._rows = empty(self.projection)
            raise
        except Exception as error:
            self._rows = empty(self.projection)  # the fold may have changed rows that were not stored
            if _passes(error):
                raise
            if isinstance(error, errors.UndefinedTable | errors.InvalidSchemaName):
                raise SteppedBackError(self.projection.name) from error  # replaced, and dropped since
            await self._find_poison([each for each in events if self.wants(each)], upto, error)

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
            await self._apply((), Position(poison - 1))

    async def _apply(self, events: Sequence[AnyRecorded], upto: Position) -> None:
        events = await self.projection.opened(events)
        await self._load(events)
        with uncollected():
            fold, rows = self.projection.fold, self._rows
            for recorded in events:
                if type(recorded.event) is Undecodable:
                    raise ValueError(recorded.event.reason)
                fold(recorded, rows)
            statements = list(self._statements())
        await self._store(statements, upto)
        if sum(map(len, self._rows.values())) > CACHED_ROWS:
            self._rows = empty(self.projection)

    async def _load(self, events: Sequence[AnyRecorded]) -> None:
        for name, stored in self._stored.items():
            table, rows = stored.table, self._rows[name]
            if table.begins:
                begun = [each.stream for each in events if type(each.event) in table.begins]
                rows.load(rows.unknown(begun), ())
            groups = rows.unknown(chain.from_iterable(map(table.touched, events)))
            if groups:
                rows.load(groups, await stored.load(self.connection, groups))

    async def _store(self, statements: Sequence[Statement], upto: Position) -> None:
        size = sum(len(parameter) for _, parameters in statements for parameter in parameters)
        # a pipeline without BEGIN is one transaction up to its end, and one round trip
        together = self.connection.pipeline() if size <= PIPELINED_BYTES else self.connection.transaction()
        try:
            async with together:
                await generations.advance(self.connection, self.generation, self.position, upto)
                passed = [position for position in self.skips if self.position < position <= upto]
                await generations.leave_out(self.connection, self.generation, passed)
                for query, parameters in statements:
                    await self.connection.execute(query, parameters)
                if self.generation.state == "live":
                    told = f"{self.projection.name}:{upto}"
                    await self.connection.execute(b"SELECT pg_notify(%s, %s)", (CHANNEL, told))
        except Error as error:
            await self._forget_prepared()
            if isinstance(error, errors.DivisionByZero):
                raise SteppedBackError(self.projection.name) from error
            raise
        self.position = upto

    async def _forget_prepared(self) -> None:
        """A pipeline that fails prepares no more statements, but psycopg counts on those it has sent.

        It forgets them when it sees this command for the first time: hence a text that is always new.
        """
        if not self.connection.closed and not self.connection.broken:
            await self.connection.execute(f"DEALLOCATE ALL -- {time.monotonic_ns()}".encode(), prepare=False)

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


def empty(projection: Projection, *, whole: bool = False) -> dict[str, Rows[Any]]:
    return {table.name: Rows(table, whole=whole) for table in projection.tables}


def _passes(error: Exception) -> bool:
    """Whether it may go well another time, with the same event: Postgres is away, busy or short of something."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    return (error.sqlstate or "")[:2] != "54"  # too long for an index: a property of the event
