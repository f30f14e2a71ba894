"""The asynchronous door of the log: commands that wait at the same moment are appended by one call, one commit.

There is no timer: while one batch is on its way the next one gathers. A command alone is a batch of one.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg
from msgspec import Struct
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.append import (
    PREPARE,
    PREPARED,
    Answer,
    Encoded,
    Touched,
    encode,
    key_reused,
    parameters,
    request_id,
    touched,
)
from adapters.postgres.rows import COLUMNS, EventRow, recorded
from adapters.postgres.wire import Wire
from commands.ports import (
    Appended,
    Entry,
    LogUnavailableError,
    OutcomeUnknownError,
    RequestKey,
    Snapshot,
)
from domain.catalogue import CATALOGUE, Catalogue
from domain.event import AnyRecorded
from domain.ids import Position, StreamId

logger = logging.getLogger(__name__)

BATCH = 256  # commands; larger batches gain little and make the last one wait
CROWD = 32  # commands; smaller halves would lose more to their commits than they gain
WAITING = 20_000  # commands; beyond that the caller is told to come back
RECONNECT_PAUSE_S = 0.2

READ = f"""
SELECT {COLUMNS} FROM log.events
WHERE originator_id = %s AND originator_version > %s ORDER BY originator_version
"""
LOAD = f"""
WITH newest AS MATERIALIZED (
    SELECT originator_version, topic, state FROM log.snapshots
    WHERE originator_id = %(stream)s ORDER BY originator_version DESC LIMIT 1
)
SELECT NULL, NULL, originator_version, topic, state, NULL, NULL, NULL, NULL, NULL FROM newest
UNION ALL (
    SELECT {COLUMNS} FROM log.events
    WHERE originator_id = %(stream)s
        AND originator_version > coalesce((SELECT originator_version FROM newest), 0)
    ORDER BY originator_version
)
"""
AT = f"SELECT {COLUMNS} FROM log.events WHERE notification_id = %s"
ANSWERED = "SELECT request_hash, position FROM log.idempotency WHERE id = %s"
KEEP_SNAPSHOT = """
WITH older AS (DELETE FROM log.snapshots WHERE originator_id = %(stream)s AND originator_version < %(version)s)
INSERT INTO log.snapshots (originator_id, originator_version, topic, state)
VALUES (%(stream)s, %(version)s, %(shape)s, %(state)s) ON CONFLICT DO NOTHING
"""


class _Waiting(Struct):
    command: Encoded
    touched: Touched
    answer: asyncio.Future[Appended]

    def settle(self, outcome: Appended | Exception) -> None:
        if self.answer.done():
            return  # the caller has left; what is on its way is not undone by that
        if isinstance(outcome, Exception):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


class PostgresLog:
    """The EventLog port over one writing connection and a pool of reading ones."""

    def __init__(
        self,
        url: str,
        pool: AsyncConnectionPool,
        catalogue: Catalogue = CATALOGUE,
        *,
        waiting_limit: int = WAITING,
    ) -> None:
        self._url = url
        self._pool = pool
        self._catalogue = catalogue
        self._waiting_limit = waiting_limit
        self._queue: deque[_Waiting] = deque()
        self._filled = asyncio.Event()
        self._wire: Wire | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "PostgresLog":
        self._task = asyncio.create_task(self._write())
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        _fail(self._queue, LogUnavailableError("The log is closing."))
        if self._wire is not None:
            await self._wire.close()

    async def append(self, entry: Entry) -> Appended:
        if len(self._queue) >= self._waiting_limit:
            raise LogUnavailableError("Too many commands are waiting to be written.")
        waiting = _Waiting(
            encode(entry, self._catalogue), touched(entry), asyncio.get_running_loop().create_future()
        )
        self._queue.append(waiting)
        self._filled.set()
        return await waiting.answer

    async def answered(self, key: RequestKey) -> Position | None:
        rows = await self._fetch(ANSWERED, (request_id(key),))
        if not rows:
            return None
        request_hash, position = rows[0]
        if bytes(request_hash) != key.request_hash:
            raise key_reused()
        return Position(position)

    async def read(self, stream: StreamId, after: int = 0) -> Sequence[AnyRecorded]:
        return [recorded(row, self._catalogue) for row in await self._fetch(READ, (stream, after))]

    async def load(self, stream: StreamId) -> tuple[Snapshot | None, Sequence[AnyRecorded]]:
        rows = await self._fetch(LOAD, {"stream": stream})
        snapshot = None
        if rows and rows[0][0] is None:
            _, _, version, shape, state, *_ = rows.pop(0)
            snapshot = Snapshot(version, shape, bytes(state))
        return snapshot, [recorded(row, self._catalogue) for row in rows]

    async def at(self, position: Position) -> AnyRecorded | None:
        rows = await self._fetch(AT, (position,))
        return recorded(rows[0], self._catalogue) if rows else None

    async def keep_snapshot(self, stream: StreamId, snapshot: Snapshot) -> None:
        values = {
            "stream": stream,
            "version": snapshot.version,
            "shape": snapshot.shape,
            "state": snapshot.state,
        }
        try:
            async with self._pool.connection() as connection:
                await connection.execute(KEEP_SNAPSHOT, values)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LogUnavailableError("The snapshot cannot be kept at the moment.") from error

    async def _fetch(self, query: str, values: Sequence[Any] | Mapping[str, Any]) -> list[EventRow]:
        try:
            async with self._pool.connection() as connection:
                cursor = connection.cursor(row_factory=tuple_row, binary=True)
                await cursor.execute(query, values, prepare=True)
                return await cursor.fetchall()
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LogUnavailableError("The log cannot be read at the moment.") from error

    async def _write(self) -> None:
        while True:
            idle = not self._queue
            await self._filled.wait()
            batch = self._take(self._share() if idle else BATCH)
            if not self._queue:
                self._filled.clear()
            try:
                await self._append(batch)
            except BaseException as error:
                _fail(batch, OutcomeUnknownError("The connection to the log was lost."))
                if not isinstance(error, Exception):
                    raise
                logger.warning(
                    "a batch may not have been written", extra={"commands": len(batch)}, exc_info=error
                )

    def _share(self) -> int:
        """Of a crowd that came all at once, half: while it is written the others get ready, and so in turn."""
        return len(self._queue) // 2 if len(self._queue) >= CROWD else BATCH

    def _take(self, limit: int) -> list[_Waiting]:
        """The next commands that do not touch one another: a second one on a stream or key waits its turn."""
        batch: list[_Waiting] = []
        later: list[_Waiting] = []
        written: set[object] = set()
        guarded: set[object] = set()
        while self._queue and len(batch) < limit and len(later) < BATCH:
            waiting = self._queue.popleft()
            writes, guards = waiting.touched.written, waiting.touched.guarded
            apart = written.isdisjoint(writes) and guarded.isdisjoint(writes) and written.isdisjoint(guards)
            (batch if apart else later).append(waiting)
            written |= writes
            guarded |= guards
        self._queue.extendleft(reversed(later))
        return batch

    async def _append(self, batch: Sequence[_Waiting]) -> None:
        """Write them together; those that are refused are told so, and the others are written without them."""
        remaining = list(batch)
        while remaining:
            try:
                wire = await self._connected()
            except psycopg.OperationalError:
                _fail(remaining, LogUnavailableError("The log cannot be written at the moment."))
                await asyncio.sleep(RECONNECT_PAUSE_S)
                return
            try:
                row = await wire.call(parameters([each.command for each in remaining]))
            except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError) as error:
                if len(remaining) == 1:
                    remaining[0].settle(error)
                    return
                for waiting in remaining:  # one bad command must not fail the others
                    await self._append([waiting])
                return
            remaining = _settle(remaining, Answer.read(row))

    async def _connected(self) -> Wire:
        if self._wire is not None and self._wire.is_lost():
            await self._wire.close()
            self._wire = None
        if self._wire is None:
            connection = await psycopg.AsyncConnection.connect(
                self._url,
                autocommit=True,
                # plpgsql would otherwise plan the statements anew for each size of batch
                options="-c plan_cache_mode=force_generic_plan",
                connect_timeout=5,
            )
            await connection.execute(PREPARE)
            self._wire = Wire(connection, PREPARED)
        return self._wire


def _settle(batch: Sequence[_Waiting], answer: Answer) -> list[_Waiting]:
    """Tell those refused, or, when none was, each where it stands. Returns those who have no answer yet."""
    refused = answer.refused()
    remaining: list[_Waiting] = []
    place = 1
    for waiting in batch:
        if place in refused:
            waiting.settle(refused[place])
        elif refused:
            remaining.append(waiting)
        else:
            first = answer.base + place
            waiting.settle(Appended(Position(first), Position(first + len(waiting.command.events) - 1)))
        place += len(waiting.command.events)
    return remaining


def _fail(batch: Iterable[_Waiting], error: Exception) -> None:
    for waiting in batch:
        waiting.settle(error)
