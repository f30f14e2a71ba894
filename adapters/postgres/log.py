"""The asynchronous door of the log: commands that wait at the same moment are appended by one call, one commit.

There is no timer: while one batch is on its way the next one gathers. A command alone is a batch of one. A crowd goes
in two halves: Postgres has the next one at hand when it is through with the one before.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial

import psycopg
from msgspec import Struct
from psycopg.pq import Format
from psycopg.pq.abc import PGresult
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.append import (
    CALLED,
    Answer,
    Encoded,
    Touched,
    encode,
    key_reused,
    parameters,
    request_id,
    touched,
)
from adapters.postgres.plans import PLANNED_ONCE
from adapters.postgres.reading import Reading
from adapters.postgres.rows import COLUMNS, recorded
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
WHERE originator_id = $1 AND originator_version > $2 ORDER BY originator_version
""".encode()
LOAD = f"""
WITH newest AS MATERIALIZED (
    SELECT originator_version, topic, state FROM log.snapshots
    WHERE originator_id = $1 ORDER BY originator_version DESC LIMIT 1
)
SELECT NULL, NULL, originator_version, topic, state, NULL, NULL, NULL, NULL, NULL FROM newest
UNION ALL (
    SELECT {COLUMNS} FROM log.events
    WHERE originator_id = $1
        AND originator_version > coalesce((SELECT originator_version FROM newest), 0)
    ORDER BY originator_version
)
""".encode()
AT = f"SELECT {COLUMNS} FROM log.events WHERE notification_id = $1".encode()
ANSWERED = b"SELECT request_hash, position FROM log.idempotency WHERE id = $1"
KEEP_SNAPSHOT = """
WITH older AS (DELETE FROM log.snapshots WHERE originator_id = %(stream)s AND originator_version < %(version)s)
INSERT INTO log.snapshots (originator_id, originator_version, topic, state)
VALUES (%(stream)s, %(version)s, %(shape)s, %(state)s) ON CONFLICT DO NOTHING
"""


class _Waiting(Struct, eq=False):
    command: Encoded
    touched: Touched
    answer: asyncio.Future[Appended]
    alone: bool = False
    """To be written by itself: a batch that it was in could not be."""

    def settle(self, outcome: Appended | Exception) -> None:
        if self.answer.done():
            return  # the caller has left; what is on its way is not undone by that
        if isinstance(outcome, Exception):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


class PostgresLog:
    """The EventLog port over one connection that writes, one that reads, and a pool for what is rare."""

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
        self._under_way: list[list[_Waiting]] = []
        self._due = asyncio.Event()
        self._wire: Wire | None = None
        self._reading = Reading(url)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "PostgresLog":
        self._task = asyncio.create_task(self._write())
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for batch in self._under_way:
            _fail(batch, OutcomeUnknownError("The log was closed."))
        _fail(self._queue, LogUnavailableError("The log is closing."))
        if self._wire is not None:
            await self._wire.close()
        await self._reading.close()

    async def append(self, entry: Entry) -> Appended:
        if len(self._queue) >= self._waiting_limit:
            raise LogUnavailableError("Too many commands are waiting to be written.")
        waiting = _Waiting(
            encode(entry, self._catalogue), touched(entry), asyncio.get_running_loop().create_future()
        )
        self._queue.append(waiting)
        self._due.set()
        return await waiting.answer

    async def answered(self, key: RequestKey) -> Position | None:
        rows = await self._reading.ask(ANSWERED, request_id(key))
        if not rows:
            return None
        request_hash, position = rows[0]
        if bytes(request_hash) != key.request_hash:
            raise key_reused()
        return Position(position)

    async def read(self, stream: StreamId, after: int = 0) -> Sequence[AnyRecorded]:
        return [recorded(row, self._catalogue) for row in await self._reading.ask(READ, stream, after)]

    async def load(self, stream: StreamId) -> tuple[Snapshot | None, Sequence[AnyRecorded]]:
        rows = await self._reading.ask(LOAD, stream)
        snapshot = None
        if rows and rows[0][0] is None:
            _, _, version, shape, state, *_ = rows.pop(0)
            snapshot = Snapshot(version, shape, bytes(state))
        return snapshot, [recorded(row, self._catalogue) for row in rows]

    async def at(self, position: Position) -> AnyRecorded | None:
        rows = await self._reading.ask(AT, position)
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

    async def _write(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            while batch := self._next():
                self._under_way.append(batch)
                try:
                    wire = await self._connected()
                except psycopg.OperationalError:
                    self._under_way.remove(batch)
                    _fail(batch, LogUnavailableError("The log cannot be written at the moment."))
                    await asyncio.sleep(RECONNECT_PAUSE_S)
                    continue
                try:
                    said = parameters([each.command for each in batch])
                    answer = wire.call(CALLED, said, [Format.BINARY] * len(said), Format.TEXT)
                except ValueError as error:  # text that is not Unicode
                    self._under_way.remove(batch)
                    self._again(_one_by_one(batch, error))
                    continue
                answer.add_done_callback(partial(self._answered, batch))

    def _next(self) -> list[_Waiting]:
        """While one batch is under way, half a crowd is a batch; behind two everybody waits."""
        waiting = len(self._queue)
        if len(self._under_way) > (waiting >= CROWD // 2):
            return []
        known = waiting + sum(map(len, self._under_way))
        return self._take(min(BATCH, (known + 1) // 2) if known >= CROWD else BATCH)

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
            (batch if apart and not (waiting.alone and batch) else later).append(waiting)
            written.update(writes)
            guarded.update(guards)
            if batch[0].alone:
                break
        self._queue.extendleft(reversed(later))
        return batch

    def _answered(self, batch: list[_Waiting], answer: asyncio.Future[PGresult]) -> None:
        """Those that are refused are told so, and the others are written without them."""
        self._under_way.remove(batch)
        match answer.exception():
            case None:
                again = _settle(batch, Answer.read(answer.result().get_value(0, 0)))
            case psycopg.DataError() | psycopg.IntegrityError() | psycopg.ProgrammingError() as error:
                again = _one_by_one(batch, error)
            case error:
                logger.warning(
                    "a batch may not have been written", extra={"commands": len(batch)}, exc_info=error
                )
                _fail(batch, OutcomeUnknownError("The connection to the log was lost."))
                again = []
        self._again(again)

    def _again(self, batch: Sequence[_Waiting]) -> None:
        self._queue.extendleft(reversed(batch))
        self._due.set()

    async def _connected(self) -> Wire:
        if self._wire is not None and self._wire.is_lost():
            await self._wire.close()
            self._wire = None
        if self._wire is None:
            connection = await psycopg.AsyncConnection.connect(
                self._url,
                autocommit=True,
                options=PLANNED_ONCE,
                connect_timeout=5,
            )
            self._wire = Wire(connection)
        return self._wire


def _settle(batch: Sequence[_Waiting], answer: Answer) -> list[_Waiting]:
    """Tell those refused, or, when none was, each where it stands. Returns those who have no answer yet."""
    refused = answer.refused()
    remaining: list[_Waiting] = []
    place = 1
    for waiting in batch:
        behind = place + len(waiting.command.events)
        if not refused:
            first = answer.base + place
            waiting.settle(Appended(Position(first), Position(answer.base + behind - 1)))
        elif outcomes := [refused[each] for each in range(place, behind) if each in refused]:
            waiting.settle(outcomes[0])
        else:
            remaining.append(waiting)
        place = behind
    return remaining


def _one_by_one(batch: list[_Waiting], error: Exception) -> list[_Waiting]:
    """One bad command must not fail the others. Returns those to be written alone, or tells the one that was."""
    if len(batch) == 1:
        batch[0].settle(error)
        return []
    for waiting in batch:
        waiting.alone = True
    return batch


def _fail(batch: Iterable[_Waiting], error: Exception) -> None:
    for waiting in batch:
        waiting.settle(error)
