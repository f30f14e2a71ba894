"""Rebuilds and rollbacks that somebody asked for: what is to be done, how far it is, what became of it.

Whoever holds the builder's lock of a read model works on its open job, so a job outlives the process.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg import AsyncConnection
from psycopg.rows import class_row

from projections.overtaking import Progress

WISHES = "projection_wishes"  # told the name of a read model when there is something to do for it
MAX_FAULT = 2_000


class Kind(StrEnum):
    REBUILD = "rebuild"
    ROLLBACK = "rollback"


class JobState(StrEnum):
    ASKED = "asked"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(Struct, frozen=True, kw_only=True):
    """`done` and `total` are positions of the log. `parked_position`: the event that could not be taken in."""

    id: UUID
    name: str
    kind: Kind
    state: JobState
    asked_by: str
    asked_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    cancelling: bool
    done: int
    total: int
    events_s: float
    eta_s: float | None
    generation: int | None
    fault: str | None
    parked_position: int | None


class Request(Struct, frozen=True):
    """An idempotency key, and the digest of what it came with."""

    id: UUID
    hash: bytes


class OpenJobError(Exception):
    """There is a job for this read model that is not over."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"A {job.kind} of {job.name} is under way already: {job.id}.")
        self.job = job


class RequestReusedError(Exception):
    """The same key came with another request."""


_COLUMNS = (
    "id, name, kind, state, asked_by, asked_at, started_at, ended_at, cancelling, done, total, events_s, eta_s, "
    "generation, fault, parked_position"
)
_ASK = f"""
INSERT INTO work.rebuilds (name, kind, asked_by, request, request_hash)
VALUES (%(name)s, %(kind)s, %(by)s, %(request)s, %(hash)s) ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
"""
_OF_REQUEST = "SELECT request_hash = %s, id FROM work.rebuilds WHERE request = %s"
_OPEN = f"""
SELECT {_COLUMNS} FROM work.rebuilds
WHERE state IN ('asked', 'running') AND (%(name)s::text IS NULL OR name = %(name)s) ORDER BY asked_at, id
"""
_ONE = f"SELECT {_COLUMNS} FROM work.rebuilds WHERE id = %s"
_RECENT = f"SELECT {_COLUMNS} FROM work.rebuilds ORDER BY asked_at DESC, id LIMIT %s"
_NOTE = """
UPDATE work.rebuilds SET state = 'running', started_at = coalesce(started_at, now()),
    done = %(done)s, total = %(total)s, events_s = %(events_s)s, eta_s = %(eta_s)s
WHERE id = %(id)s AND state IN ('asked', 'running') RETURNING cancelling
"""
_END = """
UPDATE work.rebuilds SET state = %(state)s, ended_at = now(), eta_s = NULL, fault = %(fault)s,
    parked_position = %(parked)s, generation = %(generation)s, done = coalesce(%(done)s, done),
    total = greatest(total, coalesce(%(done)s, done))
WHERE id = %(id)s AND state IN ('asked', 'running')
"""
# a job that nobody works on yet is over at once; who works on one is told, and ends it
_CANCEL = f"""
UPDATE work.rebuilds SET cancelling = true,
    state = CASE WHEN state = 'asked' THEN 'cancelled' ELSE state END,
    ended_at = CASE WHEN state = 'asked' THEN now() ELSE ended_at END
WHERE id = %s AND state IN ('asked', 'running') RETURNING {_COLUMNS}
"""
_TELL = f"SELECT pg_notify('{WISHES}', %s)"


async def ask(
    connection: AsyncConnection[Any], name: str, kind: Kind, by: str, request: Request | None = None
) -> Job:
    """Note the wish and tell who grants it. Raises OpenJobError, RequestReusedError."""
    values = {
        "name": name,
        "kind": kind,
        "by": by,
        "request": request.id if request else None,
        "hash": request.hash if request else None,
    }
    made = await _jobs(connection, _ASK, values)
    if made:
        await tell(connection, name)
        return made[0]
    if request is not None and (known := await answered(connection, request)) is not None:
        return known
    waiting = await open_jobs(connection, name)
    if not waiting:  # it was over in between
        return await ask(connection, name, kind, by, request)
    raise OpenJobError(waiting[0])


async def answered(connection: AsyncConnection[Any], request: Request) -> Job | None:
    """The job that the same request has made. Raises RequestReusedError."""
    cursor = connection.cursor()
    row = await (await cursor.execute(_OF_REQUEST.encode(), (request.hash, request.id))).fetchone()
    if row is None:
        return None
    if not row[0]:
        raise RequestReusedError
    return next(iter(await _jobs(connection, _ONE, (row[1],))), None)


async def take(connection: AsyncConnection[Any], name: str, kind: Kind, by: str) -> Job:
    """A job to work on at once, for who holds the builder's lock: one that waits, or a new one.

    Raises OpenJobError when something else waits to be done first.
    """
    waiting = await open_jobs(connection, name)
    if not waiting:
        return await ask(connection, name, kind, by)
    if waiting[0].kind != kind:
        raise OpenJobError(waiting[0])
    return waiting[0]


async def open_jobs(connection: AsyncConnection[Any], name: str | None = None) -> list[Job]:
    """Asked for and not over, the oldest first."""
    return await _jobs(connection, _OPEN, {"name": name})


async def job(connection: AsyncConnection[Any], id: UUID) -> Job | None:
    return next(iter(await _jobs(connection, _ONE, (id,))), None)


async def recent(connection: AsyncConnection[Any], limit: int) -> list[Job]:
    """The last ones that were asked for, the newest first."""
    return await _jobs(connection, _RECENT, (limit,))


async def cancel(connection: AsyncConnection[Any], id: UUID) -> Job | None:
    """None: there is no such job, or it is over."""
    found = await _jobs(connection, _CANCEL, (id,))
    if found:
        await tell(connection, found[0].name)
    return next(iter(found), None)


async def note(connection: AsyncConnection[Any], id: UUID, progress: Progress) -> bool:
    """Whether to go on: somebody may have cancelled it."""
    values = {
        "id": id,
        "done": progress.done,
        "total": progress.total,
        "events_s": progress.events_s,
        "eta_s": progress.eta_s,
    }
    row = await (await connection.execute(_NOTE.encode(), values)).fetchone()
    return row is not None and not row[0]


async def end(
    connection: AsyncConnection[Any],
    id: UUID,
    state: JobState,
    *,
    fault: str | None = None,
    parked: int | None = None,
    generation: int | None = None,
    done: int | None = None,
) -> None:
    told = None if fault is None else fault.replace("\0", "\\0")[:MAX_FAULT]
    values = {
        "id": id,
        "state": state,
        "fault": told,
        "parked": parked,
        "generation": generation,
        "done": done,
    }
    await connection.execute(_END.encode(), values)


async def tell(connection: AsyncConnection[Any], name: str) -> None:
    """Wake up those who work for a read model."""
    await connection.execute(_TELL.encode(), (name,))


async def _jobs(connection: AsyncConnection[Any], query: str, values: Any) -> list[Job]:
    cursor = connection.cursor(row_factory=class_row(Job))
    return await (await cursor.execute(query.encode(), values)).fetchall()
