"""The log as it grows: what the relay, dispatch and the projections read."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.pq.abc import PGconn

from adapters.postgres.reading import Reading
from adapters.postgres.rows import COLUMNS, EventRow, recorded
from commands.ports import LogUnavailableError
from domain.event import AnyRecorded
from domain.ids import AccountId, Position
from services.ports.dispatching import LogPage
from services.ports.relaying import StoredRow

logger = logging.getLogger(__name__)

AFTER = (
    f"SELECT {COLUMNS} FROM log.events WHERE notification_id > $1 ORDER BY notification_id LIMIT $2".encode()
)
OF_OWNER = f"""
SELECT {COLUMNS} FROM log.events
WHERE notification_id > $1 AND notification_id <= $2 AND owner = $3 ORDER BY notification_id LIMIT $4
""".encode()
AFTER_OF_TOPICS = f"""
(
    SELECT {COLUMNS} FROM log.events
    WHERE notification_id > $1 AND topic = ANY($2::text[]) ORDER BY notification_id LIMIT $3
)
UNION ALL (
    SELECT notification_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM log.events
    ORDER BY notification_id DESC LIMIT 1
)
""".encode()
HEAD = b"SELECT coalesce(max(notification_id), 0) FROM log.events"
# The log's times never go back, so that halving finds an instant in it.
POSITION_AT = b"""
WITH RECURSIVE search (low, high) AS (
    SELECT 0::bigint, (SELECT coalesce(max(notification_id), 0) FROM log.events)
    UNION ALL
    SELECT CASE WHEN seen.before THEN middle ELSE low END, CASE WHEN seen.before THEN high ELSE middle - 1 END
    FROM (SELECT low, high, (low + high + 1) / 2 AS middle FROM search WHERE low < high) AS half
    CROSS JOIN LATERAL (
        SELECT recorded_at < $1 AS before FROM log.events WHERE notification_id = middle
    ) AS seen
)
SELECT low FROM search WHERE low = high
"""
IDENTITY = b"SELECT id FROM log.identity"


class PostgresTail:
    """LogTail of the services and Log of the projections, over two connections that are renewed when lost.

    Every method raises LogUnavailableError while Postgres is away, but `grown`, which then only waits.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._reading = Reading(url)
        self._listener: psycopg.AsyncConnection | None = None

    async def __aenter__(self) -> "PostgresTail":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._reading.close()
        if self._listener is not None:
            await self._listener.close()

    async def identity(self) -> UUID:
        ((identity,),) = await self._reading.ask(IDENTITY)
        return UUID(str(identity))

    async def head(self) -> Position:
        ((head,),) = await self._reading.ask(HEAD)
        return Position(head)

    async def position_at(self, at: datetime) -> Position:
        ((position,),) = await self._reading.ask(POSITION_AT, at)
        return Position(position)

    async def rows(self, after: Position, limit: int) -> Sequence[StoredRow]:
        return [_stored(row) for row in await self._reading.ask(AFTER, after, limit)]

    async def after(self, position: Position, limit: int, topics: frozenset[str]) -> LogPage:
        wanted = f"{{{','.join(topics)}}}"
        *rows, end = await self._reading.ask(AFTER_OF_TOPICS, position, wanted, limit) or [(0,)]
        events = [recorded(row) for row in rows]
        return LogPage(events, Position(events[-1].position if len(events) == limit else end[0]))

    async def of_owner(
        self, owner: AccountId, after: Position, upto: Position, limit: int
    ) -> list[AnyRecorded]:
        return [recorded(row) for row in await self._reading.ask(OF_OWNER, after, upto, owner, limit)]

    async def grown(self, timeout_s: float) -> None:
        try:
            libpq = (await self._listening()).pgconn
            if not _notified(libpq):
                await _readable(libpq.socket, timeout_s)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            logger.warning("no longer told when the log grows; polling")
            self._listener = None
            await asyncio.sleep(timeout_s)

    def leadership(self, name: str) -> "PostgresLeadership":
        return PostgresLeadership(self._url, name)

    async def _listening(self) -> psycopg.AsyncConnection:
        if self._listener is None or self._listener.closed or self._listener.broken:
            self._listener = await psycopg.AsyncConnection.connect(
                self._url, autocommit=True, connect_timeout=5
            )
            await self._listener.execute("LISTEN log_events")
        return self._listener


class PostgresLeadership:
    """A session's advisory lock: it ends with the connection, whatever happens to the process."""

    POLL_S = 0.5  # how soon a follower takes over

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._connection: psycopg.AsyncConnection | None = None

    async def __aenter__(self) -> "PostgresLeadership":
        try:
            self._connection = await psycopg.AsyncConnection.connect(
                self._url, autocommit=True, connect_timeout=5
            )
            while not await self._take():
                await asyncio.sleep(self.POLL_S)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            await self.__aexit__()
            raise LogUnavailableError("Postgres cannot be reached at the moment.") from error
        except asyncio.CancelledError:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def held(self) -> bool:
        try:
            assert self._connection is not None
            await self._connection.execute("SELECT 1")
        except (psycopg.OperationalError, psycopg.InterfaceError):
            return False
        return True

    async def _take(self) -> bool:
        assert self._connection is not None
        query = sql.SQL("SELECT pg_try_advisory_lock(hashtextextended({}, 0))")
        cursor = await self._connection.execute(query.format(sql.Literal(f"comfyplus {self._name}")))
        row = await cursor.fetchone()
        return bool(row and row[0])


def _notified(libpq: PGconn) -> bool:
    """Take what has arrived. Asked of libpq itself: psycopg's generator would cost several times as much."""
    libpq.consume_input()
    notified = False
    while libpq.notifies():
        notified = True
    return notified


async def _readable(socket: int, timeout_s: float) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(socket, readable.set)
    try:
        async with asyncio.timeout(timeout_s):
            await readable.wait()
    except TimeoutError:
        pass
    finally:
        loop.remove_reader(socket)


def _stored(row: EventRow) -> StoredRow:
    position, stream, version, topic, state, at, owner, actor, correlation, causation = row
    return StoredRow(
        position=position,
        stream=stream,
        version=version,
        topic=topic,
        state=bytes(state),
        at=at,
        owner=owner,
        actor=actor,
        correlation=correlation,
        causation=causation,
    )
