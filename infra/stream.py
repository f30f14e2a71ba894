"""`comfyplus stream ID`: what happened to one thing, event by event, and what it was after each."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from msgspec import UNSET, Raw, Struct, UnsetType
from psycopg.rows import class_row

from domain.catalogue import CATALOGUE, DECIDERS, UnknownTopicError
from domain.event import kind
from infra.printable import printable
from infra.settings import Settings
from infra.wiring import connect, needed

_EVENTS = b"""
SELECT notification_id AS position, originator_version AS version, recorded_at AS at, topic, actor, owner,
    correlation, causation, state AS stored
FROM log.events WHERE originator_id = %s ORDER BY originator_version
"""


class Stored(Struct, frozen=True, kw_only=True):
    """A row of the log."""

    position: int
    version: int
    at: datetime
    topic: str
    actor: str
    owner: UUID | None
    correlation: UUID
    causation: int | None
    stored: bytes


class Told(Struct, frozen=True, kw_only=True):
    """An event and the state after it. From an event on that this program cannot read the state is not known."""

    position: int
    version: int
    at: datetime
    topic: str
    actor: str
    owner: UUID | None
    correlation: UUID
    causation: int | None
    data: Any
    state: Any = None
    unreadable: str | UnsetType = UNSET


def stream(settings: Settings, id: UUID, *, as_json: bool) -> int:
    """Returns the exit code: 0 told, 1 there is no such stream or the log cannot be read."""
    try:
        rows = asyncio.run(_rows(settings, id))
    except psycopg.OperationalError as error:
        print(f"The log cannot be read: {error}", file=sys.stderr)
        return 1
    if not rows:
        print(f"Nothing ever happened to {id}.", file=sys.stderr)
        return 1
    before: Any = None
    for told in replayed(rows):
        if as_json:
            print(msgspec.json.encode(told).decode())
        else:
            print("\n".join(_lines(told, before)))
        before = told.state
    return 0


def replayed(rows: Sequence[Stored]) -> Iterator[Told]:
    """Fold a stream, event by event."""
    decider = DECIDERS.get(kind(rows[0].topic))
    state: Any = decider.initial if decider is not None else None
    known = decider is not None
    for row in rows:
        envelope = {name: getattr(row, name) for name in Stored.__struct_fields__ if name != "stored"}
        try:
            event = CATALOGUE.decode(row.topic, row.stored)
        except (UnknownTopicError, msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            known = False
            yield Told(**envelope, data=_raw(row.stored), unreadable=str(error))
            continue
        if known and decider is not None:
            state = decider.evolve(state, event)
        data = {name: value for name, value in msgspec.to_builtins(event).items() if name != "topic"}
        yield Told(**envelope, data=data, state=msgspec.to_builtins(state) if known else None)


async def _rows(settings: Settings, id: UUID) -> list[Stored]:
    url = needed(settings.project_database_url, "COMFYPLUS_PROJECT_DATABASE_URL")
    async with await connect(url)() as connection:
        cursor = connection.cursor(row_factory=class_row(Stored), binary=True)
        return await (await cursor.execute(_EVENTS, (id,))).fetchall()


def _raw(stored: bytes) -> Any:
    """As JSON where it is some, else as text."""
    try:
        msgspec.json.decode(stored)
        return Raw(stored)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return stored.decode(errors="backslashreplace")


def _lines(told: Told, before: Any) -> Iterator[str]:
    yield f"{told.position}  {told.at.isoformat()}  {printable(told.actor)}  {printable(told.topic)}"
    if told.unreadable is not UNSET:
        yield f"    cannot be read: {printable(told.unreadable)}"
        yield f"    {_json(told.data)}"
        return
    for name, value in told.data.items():
        yield f"    {name}: {_json(value)}"
    if told.state is None:
        yield "  = not known after what could not be read"
        return
    earlier = before or {}
    changed = {name: value for name, value in told.state.items() if earlier.get(name, UNSET) != value}
    for name, value in changed.items():
        yield f"  = {name}: {_json(value)}"


def _json(value: Any) -> str:
    return printable(msgspec.json.encode(value).decode())
