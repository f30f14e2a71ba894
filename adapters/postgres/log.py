"""The asynchronous door of the log: commands that wait at the same moment are appended by one call, one commit.

There is no timer: while one batch is on its way the next one gathers. A command alone is a batch of one.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from msgspec import Struct
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from adapters.postgres import arrays
from adapters.postgres.rows import COLUMNS, EventRow, recorded
from commands.ports import (
    Appended,
    Entry,
    KeyReused,
    LogUnavailableError,
    OutcomeUnknownError,
    RequestKey,
    Snapshot,
    StaleStreamError,
)
from domain.catalogue import CATALOGUE, Catalogue
from domain.event import AnyRecorded, topic
from domain.ids import Position, StreamId

logger = logging.getLogger(__name__)

BATCH = 256  # commands; larger batches gain little and make the last one wait
WAITING = 20_000  # commands; beyond that the caller is told to come back
RECONNECT_PAUSE_S = 0.2

APPEND = """
SELECT base, stale, repeated, repeated_positions, reused
FROM log.append(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
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
ANSWERED = "SELECT request_hash, position FROM log.idempotency WHERE actor = %s AND key = %s"
KEEP_SNAPSHOT = """
WITH older AS (DELETE FROM log.snapshots WHERE originator_id = %(stream)s AND originator_version < %(version)s)
INSERT INTO log.snapshots (originator_id, originator_version, topic, state)
VALUES (%(stream)s, %(version)s, %(shape)s, %(state)s) ON CONFLICT DO NOTHING
"""


class _Waiting(Struct):
    entry: Entry
    answer: asyncio.Future[Appended]


class PostgresLog:
    """The EventLog port over one writing connection and a pool of reading ones."""

    def __init__(self, url: str, pool: AsyncConnectionPool, catalogue: Catalogue = CATALOGUE) -> None:
        self._url = url
        self._pool = pool
        self._catalogue = catalogue
        self._queue: deque[_Waiting] = deque()
        self._filled = asyncio.Event()
        self._connection: psycopg.AsyncConnection | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "PostgresLog":
        self._task = asyncio.create_task(self._write())
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        while self._queue:
            self._queue.popleft().answer.set_exception(LogUnavailableError("The log is closing."))
        if self._connection is not None:
            await self._connection.close()

    async def append(self, entry: Entry) -> Appended:
        if len(self._queue) >= WAITING:
            raise LogUnavailableError("Too many commands are waiting to be written.")
        waiting = _Waiting(entry, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._filled.set()
        return await asyncio.shield(waiting.answer)  # a caller who leaves must not undo what is on its way

    async def answered(self, key: RequestKey) -> Position | None:
        rows = await self._fetch(ANSWERED, (key.actor, key.key))
        if not rows:
            return None
        request_hash, position = rows[0]
        if bytes(request_hash) != key.request_hash:
            raise _key_reused()
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
            await self._filled.wait()
            batch = self._take()
            if not self._queue:
                self._filled.clear()
            try:
                await self._append(batch)
            except BaseException as error:
                _fail(batch, OutcomeUnknownError("The connection to the log was lost."))
                if not isinstance(error, psycopg.Error):
                    raise
                logger.warning("the connection to the log was lost", extra={"commands": len(batch)})

    def _take(self) -> list[_Waiting]:
        """The next commands that do not touch one another: a second one on a stream or key waits its turn."""
        batch: list[_Waiting] = []
        later: list[_Waiting] = []
        written: set[object] = set()
        guarded: set[object] = set()
        while self._queue and len(batch) < BATCH and len(later) < BATCH:
            waiting = self._queue.popleft()
            entry = waiting.entry
            writes: set[object] = {write.stream for write in entry.writes if write.events}
            guards: set[object] = {write.stream for write in entry.writes if not write.events}
            if entry.key is not None:
                writes.add((entry.key.actor, entry.key.key))
            touching = writes & written or writes & guarded or guards & written
            (later if touching else batch).append(waiting)
            written |= writes
            guarded |= guards
        self._queue.extendleft(reversed(later))
        return batch

    async def _append(self, batch: list[_Waiting]) -> None:
        try:
            connection = await self._connected()
        except psycopg.OperationalError:
            _fail(batch, LogUnavailableError("The log cannot be written at the moment."))
            await asyncio.sleep(RECONNECT_PAUSE_S)
            return
        try:
            cursor = await connection.execute(
                APPEND, append_parameters([each.entry for each in batch], self._catalogue), prepare=True
            )
            answer = await cursor.fetchone()
        except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError) as error:
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
                return
            for waiting in batch:  # one bad command must not fail the others
                await self._append([waiting])
            return
        assert answer is not None
        _settle(batch, *answer)

    async def _connected(self) -> psycopg.AsyncConnection:
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = await psycopg.AsyncConnection.connect(
                self._url,
                autocommit=True,
                # plpgsql would otherwise plan the statements anew for each size of batch
                options="-c plan_cache_mode=force_generic_plan",
                connect_timeout=5,
            )
            arrays.register(self._connection)
        return self._connection


def append_parameters(entries: Sequence[Entry], catalogue: Catalogue) -> tuple[arrays.Array, ...]:
    """The arguments of log.append for some commands, numbered 1, 2, 3 ..."""
    commands, streams, versions, topics, states = [], [], [], [], []
    owners, actors, correlations, causations = [], [], [], []
    for number, entry in enumerate(entries, 1):
        for write in entry.writes:
            for version, event in enumerate(write.events, write.expected + 1):
                commands.append(number)
                streams.append(write.stream)
                versions.append(version)
                topics.append(topic(event))
                states.append(catalogue.encode(event))
                owners.append(write.owner)
                actors.append(entry.actor)
                correlations.append(entry.correlation)
                causations.append(entry.causation)
    checks = [
        (number, write.stream, write.expected)
        for number, entry in enumerate(entries, 1)
        for write in entry.writes
    ]
    keyed = [(number, entry.key) for number, entry in enumerate(entries, 1) if entry.key is not None]
    return (
        arrays.integers(commands),
        arrays.uuids(streams),
        arrays.bigints(versions),
        arrays.texts(topics),
        arrays.byteas(states),
        arrays.uuids(owners),
        arrays.texts(actors),
        arrays.uuids(correlations),
        arrays.bigints(causations),
        arrays.integers([number for number, _, _ in checks]),
        arrays.uuids([stream for _, stream, _ in checks]),
        arrays.bigints([version for _, _, version in checks]),
        arrays.integers([number for number, _ in keyed]),
        arrays.texts([key.actor for _, key in keyed]),
        arrays.texts([key.key for _, key in keyed]),
        arrays.byteas([key.request_hash for _, key in keyed]),
    )


def _settle(
    batch: Sequence[_Waiting],
    base: int,
    stale: list[int] | None,
    repeated: list[int] | None,
    repeated_positions: list[int] | None,
    reused: list[int] | None,
) -> None:
    """Tell each command how it ended, from what log.append returned."""
    known = dict(zip(repeated or (), repeated_positions or (), strict=True))
    refused = set(stale or ())
    position = base
    for number, waiting in enumerate(batch, 1):
        answer = waiting.answer
        if number in known:
            first = Position(known[number])
            answer.set_result(Appended(first, first, repeated=True))
        elif number in (reused or ()):
            answer.set_exception(_key_reused())
        elif number in refused:
            answer.set_exception(StaleStreamError())
        else:
            events = sum(len(write.events) for write in waiting.entry.writes)
            answer.set_result(Appended(Position(position + 1), Position(position + events)))
            position += events


def _fail(batch: Sequence[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)
            waiting.answer.exception()  # a caller who left must not be warned of


def _key_reused() -> KeyReused:
    return KeyReused("This Idempotency-Key was used for another request before.")
