"""A log to fold, a feed to lose things, and a database with both ends of a read model."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from msgspec.structs import replace
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from domain.catalogue import CATALOGUE
from domain.event import AnyRecorded, Event, Recorded, topic
from domain.ids import AccountId, Actor, Position
from domain.personal import Personal
from projections import catalogue
from projections.pages import Connect
from projections.projection import Projection, opened_by
from projections.reading import Reader
from projections.runner import Runner
from projections.writer import empty
from tests.projections.stories import SEALED
from tests.servers import Database, owned


async def opened(events: Sequence[AnyRecorded]) -> list[AnyRecorded]:
    """Stands in for the vault: whose key is gone, theirs is sealed otherwise."""
    return [
        replace(
            each, event=replace(each.event, **{name: _opened(getattr(each.event, name)) for name in names})
        )
        if (names := CATALOGUE.personal.get(type(each.event)))
        else each
        for each in events
    ]


def _opened(personal: Personal | None) -> Personal | None:
    if personal is None:
        return None
    known = personal.sealed.startswith(SEALED)
    return replace(personal, text=personal.sealed.removeprefix(SEALED)) if known else personal


PROJECTIONS = opened_by(catalogue.PROJECTIONS, opened)
ALL = tuple(PROJECTIONS.values())
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def recorded(
    position: int,
    stream: UUID,
    event: Event,
    *,
    owner: AccountId | None = None,
    version: int = 1,
) -> AnyRecorded:
    return Recorded(
        position=Position(position),
        stream=stream,
        version=version,
        at=NOON + timedelta(seconds=position),
        owner=owner,
        actor=Actor("tests"),
        correlation=UUID(int=position),
        causation=None,
        event=event,
    )


def folded(projection: Projection, *events: tuple[UUID, Event]) -> dict[str, list[Any]]:
    """given/when/then: the rows of each table after some events, each a stream and what happened to it."""
    buffer = empty(projection, whole=True)
    for position, (stream, event) in enumerate(events, 1):
        projection.fold(recorded(position, stream, event), buffer)
    return {name: list(rows.everything()) for name, rows in buffer.items()}


class Books:
    """The log of a test's database, written as its owner."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.events: list[AnyRecorded] = []
        self._versions: dict[UUID, int] = {}
        self._connection = psycopg.connect(database.url, autocommit=True)

    def close(self) -> None:
        self._connection.close()

    def add(self, *events: tuple[UUID, AccountId | None, Event]) -> list[AnyRecorded]:
        """Append at the next positions; returns them as the feed would."""
        added = []
        for stream, owner, event in events:
            version = self._versions[stream] = self._versions.get(stream, 0) + 1
            place = len(self.events) + 1
            added.append(recorded(place, stream, event, owner=owner, version=version))
            self.events.append(added[-1])
        self.write([(each, topic(each.event), CATALOGUE.encode(each.event)) for each in added])
        return added

    def add_unreadable(self) -> AnyRecorded:
        """An event of a topic that this program does not know."""
        stream = uuid4()
        self.events.append(recorded(len(self.events) + 1, stream, Event()))
        self.write([(self.events[-1], "tomorrow.invented.v1", b'{"topic":"tomorrow.invented.v1"}')])
        return self.events[-1]

    def write(self, rows: Sequence[tuple[AnyRecorded, str, bytes]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(
                """INSERT INTO log.events (originator_id, originator_version, topic, state, notification_id,
                    recorded_at, owner, actor, correlation, causation)
                VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
                [
                    (
                        each.stream,
                        each.version,
                        name,
                        state,
                        each.position,
                        each.at,
                        each.owner,
                        each.actor,
                        each.correlation,
                        each.causation,
                    )
                    for each, name, state in rows
                ],
            )


class Channel:
    """A feed that passes on what a test gives it."""

    def __init__(self) -> None:
        self._waiting: list[AnyRecorded] = []
        self._given = asyncio.Event()

    def give(self, events: Sequence[AnyRecorded]) -> None:
        self._waiting.extend(events)
        self._given.set()

    async def next(self, after: Position, timeout_s: float) -> list[AnyRecorded]:
        try:
            await asyncio.wait_for(self._given.wait(), timeout_s)
        except TimeoutError:
            return []
        self._given.clear()
        given, self._waiting = self._waiting, []
        return [each for each in given if each.position > after]


def connecting(database: Database, role: str = "comfyplus_project") -> Connect:
    async def connect() -> AsyncConnection[Any]:
        return await AsyncConnection.connect(database.url_of(role), autocommit=True)

    return connect


@asynccontextmanager
async def reading(database: Database) -> AsyncIterator[Reader]:
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
        database.url_of("comfyplus_query"), min_size=1, max_size=4, open=False, kwargs={"autocommit": True}
    )
    async with pool:
        yield Reader(pool)


async def eventually(holds: Callable[[], Awaitable[bool]], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not await holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


def stored(database: Database, projection: Projection) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of a read model as its owner sees them, in order."""
    found = {}
    for table in projection.tables:
        columns = ", ".join(table.row.__struct_fields__)
        order = ", ".join(table.key)
        schema = live_schema(owned(database.url), projection.name)
        query = f"SELECT {columns} FROM {schema}.{table.name} ORDER BY {order}"
        found[table.name] = owned(database.url).execute(query.encode()).fetchall()
    return found


def live_schema(connection: psycopg.Connection[Any], name: str) -> str:
    query = "SELECT name || '_g' || generation FROM work.projections WHERE name = %s AND state = 'live'"
    row = connection.execute(query, (name,)).fetchone()
    assert row is not None
    return str(row[0])


def checkpoint(database: Database, name: str) -> tuple[Any, ...] | None:
    """Position, parked position, generation and version of the live build."""
    found = owned(database.url).execute(
        "SELECT position, parked_position, generation, version FROM work.projections "
        "WHERE name = %s AND state = 'live'",
        (name,),
    )
    return found.fetchone()


async def at_position(database: Database, name: str, position: int) -> None:
    async def there() -> bool:
        found = checkpoint(database, name)
        return found is not None and found[0] >= position

    await eventually(there)


@asynccontextmanager
async def running(
    database: Database, feed: Channel, projections: Sequence[Projection] = ALL
) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(Runner(projections, connecting(database), feed).run())
    try:
        yield task
    finally:
        await stop(task)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
