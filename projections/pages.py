"""The log as the builders of read models read it: short pages, each packed into a few long values.

A column of a page travels as one MessagePack list and the events as one JSON list, so that msgspec decodes
thousands at once; a page that holds something unreadable is read again row by row. Pages are short
statements of their own: a long-lived snapshot would halve the rate of the upserts beside it.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import reduce
from itertools import repeat
from operator import or_
from threading import Lock
from types import GenericAlias
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct
from psycopg import AsyncConnection

from domain.catalogue import CATALOGUE, Catalogue, UnknownTopicError
from domain.event import AnyRecorded, Recorded
from domain.ids import Position
from projections.projection import ENVELOPE, Page, Undecodable

Connect: TypeAlias = Callable[[], Awaitable[AsyncConnection[Any]]]
"""Opens a connection in autocommit mode. Raises psycopg.OperationalError."""


def _bytea(octets: bytes) -> str:
    return f"'\\x{octets.hex()}'::bytea"


_INTEGER, _UUID, _FLOAT, _STRING, _NIL = b"\xd3", b"\xc4\x10", b"\xcb", b"\xdb", b"\xc0"
_COLUMNS = {
    "position": ("int8send(notification_id)", _INTEGER),
    "stream": ("uuid_send(originator_id)", _UUID),
    "version": ("int8send(originator_version)", _INTEGER),
    "at": ("float8send(date_part('epoch', recorded_at))", _FLOAT),
    "owner": (f"coalesce({_bytea(_UUID)} || uuid_send(owner), {_bytea(_NIL)})", b""),
    "actor": ("int4send(octet_length(actor)) || convert_to(actor, 'UTF8')", _STRING),
    "correlation": ("uuid_send(correlation)", _UUID),
    "causation": (f"coalesce({_bytea(_INTEGER)} || int8send(causation), {_bytea(_NIL)})", b""),
}
"""Each column's values, and what makes a MessagePack item of each: it stands before the first and between them."""
_HEAD = b"SELECT coalesce(max(notification_id), 0) FROM log.events"
_PAGE = """
SELECT greatest(
        %(after)s::bigint,
        least(
            %(after)s::bigint + %(limit)s::bigint,
            (SELECT coalesce(max(notification_id), 0) FROM log.events)
        )
    ),
    count(*), string_agg(state, ','), {columns}
FROM (
    SELECT notification_id, originator_id, originator_version, recorded_at, state, owner, actor, correlation, causation
    FROM log.events
    WHERE notification_id > %(after)s::bigint AND notification_id <= %(after)s::bigint + %(limit)s::bigint
        AND (%(topics)s::text[] IS NULL OR topic = ANY (%(topics)s::text[]))
    ORDER BY notification_id
) AS page
"""
# a plan for any topics compares each event's with one after the other; where they are known they are hashed
_PLANNED_ANEW = b"SET plan_cache_mode TO force_custom_plan"
_ROWS = b"""
SELECT notification_id, originator_id, originator_version, recorded_at, owner, actor, correlation, causation,
    topic, state
FROM log.events
WHERE notification_id > %(after)s::bigint AND notification_id <= %(upto)s::bigint
    AND (%(topics)s::text[] IS NULL OR topic = ANY (%(topics)s::text[]))
ORDER BY notification_id
"""

_uuids = msgspec.msgpack.Decoder(list[UUID | None]).decode
_integers = msgspec.msgpack.Decoder(list[int | None]).decode
_times = msgspec.msgpack.Decoder(list[datetime], strict=False).decode  # of seconds, exact to the microsecond
_strings = msgspec.msgpack.Decoder(list[str]).decode


class _Uncollected:
    """How many are inside, in whatever threads: the last to leave has garbage collected again."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._collecting = True

    def enter(self) -> None:
        with self._lock:
            if not self._inside:
                self._collecting = gc.isenabled()
                gc.disable()
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._collecting:
                gc.enable()


_UNCOLLECTED = _Uncollected()


@contextmanager
def uncollected() -> Iterator[None]:
    """Nobody looks for garbage inside: thousands of ids are made at once, and they refer to nothing."""
    _UNCOLLECTED.enter()
    try:
        yield
    finally:
        _UNCOLLECTED.leave()


class PackedPage(Struct, frozen=True):
    """A page as it came from Postgres."""

    upto: Position
    count: int
    events: bytes
    columns: dict[str, bytes]


class LogPages:
    """Log of the projections over one connection that is renewed when lost.

    `reads`: what of the envelope is fetched; the rest is UNSET in every event.
    """

    def __init__(
        self, connect: Connect, catalogue: Catalogue = CATALOGUE, reads: frozenset[str] = ENVELOPE
    ) -> None:
        self._connect = connect
        self._connection: AsyncConnection[Any] | None = None
        self._lock = asyncio.Lock()
        self._catalogue = catalogue
        self._names = [name for name in _COLUMNS if name in reads | {"position", "stream"}]
        columns = ", ".join(
            f"string_agg({value}, {_bytea(before)})"
            for value, before in (_COLUMNS[name] for name in self._names)
        )
        self._page = _PAGE.format(columns=columns).encode()
        union: Any = reduce(or_, catalogue.events.values())
        self._events = msgspec.json.Decoder(GenericAlias(list, (union,))).decode

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def head(self) -> Position:
        ((head,),) = await self._fetch(_HEAD, {})
        return Position(head)

    async def after(self, position: Position, limit: int, topics: frozenset[str] | None = None) -> Page:
        packed = await self.fetch(position, limit, topics)
        try:
            return Page(self.unpack(packed), packed.upto)
        except msgspec.DecodeError:
            return Page(await self.one_by_one(position, packed.upto, topics), packed.upto)

    async def fetch(self, after: Position, limit: int, topics: frozenset[str] | None) -> PackedPage:
        parameters = {"after": after, "limit": limit, "topics": None if topics is None else sorted(topics)}
        ((upto, count, events, *columns),) = await self._fetch(self._page, parameters)
        return PackedPage(upto or after, count, events or b"", dict(zip(self._names, columns, strict=True)))

    def unpack(self, page: PackedPage) -> list[AnyRecorded]:
        """Raises msgspec.DecodeError when there is something this program cannot read."""
        if not page.count:
            return []
        with uncollected():
            return self._unpacked(page)

    def _unpacked(self, page: PackedPage) -> list[AnyRecorded]:
        count = b"\xdd" + page.count.to_bytes(4, "big")
        packed = {name: count + _COLUMNS[name][1] + body for name, body in page.columns.items()}
        unread = repeat(UNSET)
        integers = {
            name: _integers(packed[name]) for name in ("position", "version", "causation") if name in packed
        }
        uuids = {name: _uuids(packed[name]) for name in ("stream", "owner", "correlation") if name in packed}
        actors = _strings(packed["actor"]) if "actor" in packed else unread
        columns: Iterator[tuple[Any, ...]] = zip(
            integers["position"],
            uuids["stream"],
            integers.get("version", unread),
            _times(packed["at"]) if "at" in packed else unread,
            uuids.get("owner", unread),
            actors,
            uuids.get("correlation", unread),
            integers.get("causation", unread),
            self._events(b"[" + page.events + b"]"),
            strict=False,
        )
        return [
            Recorded(
                position=position,
                stream=stream,
                version=version,
                at=at,
                owner=owner,
                actor=actor,
                correlation=correlation,
                causation=causation,
                event=event,
            )
            for position, stream, version, at, owner, actor, correlation, causation, event in columns
        ]

    async def one_by_one(
        self, after: Position, upto: Position, topics: frozenset[str] | None
    ) -> list[AnyRecorded]:
        """The slow way: older topics are read as newer ones, unreadable events become Undecodable."""
        wanted = None if topics is None else sorted(topics)
        rows = await self._fetch(_ROWS, {"after": after, "upto": upto, "topics": wanted})
        return [self._recorded(row) for row in rows]

    def _recorded(self, row: tuple[Any, ...]) -> AnyRecorded:
        position, stream, version, at, owner, actor, correlation, causation, topic, state = row
        try:
            event = self._catalogue.decode(topic, state)
        except (UnknownTopicError, msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            event = Undecodable(topic_name=topic, reason=str(error))
        return Recorded(
            position=position,
            stream=stream,
            version=version,
            at=at,
            owner=owner,
            actor=actor,
            correlation=correlation,
            causation=causation,
            event=event,
        )

    async def _fetch(self, query: bytes, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        async with self._lock:
            if self._connection is None or self._connection.closed or self._connection.broken:
                self._connection = await self._connect()
                await self._connection.execute(_PLANNED_ANEW)
            cursor = self._connection.cursor(binary=True)
            await cursor.execute(query, parameters, prepare=True)
            return await cursor.fetchall()
