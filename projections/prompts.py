"""Prompts: every run as ComfyUI's clients know it, by the name that its client gave it, with what its nodes showed.

A run that came another way is called by its own id: the queue and the history that a client sees are its account's.
"""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from msgspec import Struct, convert

from domain.event import AnyRecorded, Event
from domain.ids import AccountId, RunId, WorkflowId
from domain.outcome import Course, Failure
from domain.run import (
    OutputDeleted,
    OutputStored,
    RunAttemptLost,
    RunCancelled,
    RunClaimed,
    RunDeleted,
    RunDismissed,
    RunFailed,
    RunRequeued,
    RunRevived,
    RunStarted,
    RunStopped,
    RunSubmitted,
    RunSucceeded,
    Status,
    source_of,
)
from domain.source import PromptSource
from projections.projection import Buffer, Projection, Table
from projections.reading import Cursor

MOST = 10_000  # that are listed at once, as many as a ComfyUI remembers


class PromptRow(Struct, gc=False):
    """`number`: its place in the queue, lower ones first. `graph`, `extra`: digests of what its client sent.

    `client`: None where no client of ComfyUI sent it.
    """

    run: UUID
    owner: AccountId
    prompt: str
    client: str | None
    number: float
    graph: str
    extra: str | None
    status: Status
    priority: int
    position: int
    submitted_at: datetime
    workflow: WorkflowId | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    outputs: int = 0
    failure: Failure | None = None
    course: Course | None = None
    dismissed: bool = False


def _touched(recorded: AnyRecorded) -> Iterable[UUID]:
    return () if type(recorded.event) is RunSubmitted else (recorded.stream,)


PROMPTS = Table("prompts", PromptRow, ("run",), _touched, begins=frozenset({RunSubmitted}))


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    prompts, event = buffer["prompts"], recorded.event
    match event:
        case RunSubmitted():
            prompts.put(_submitted(recorded, event))
        case RunDeleted():
            prompts.remove(recorded.stream)
        case _:
            if row := prompts.edit(recorded.stream):
                CHANGES[type(event)](row, event, recorded.at)


def _submitted(recorded: AnyRecorded, event: RunSubmitted) -> PromptRow:
    row = PromptRow(
        run=recorded.stream,
        owner=event.owner,
        prompt=str(recorded.stream),
        client=None,
        number=float(recorded.position),
        graph=event.graph.digest,
        extra=None,
        status=Status.QUEUED,
        priority=event.priority,
        position=recorded.position,
        submitted_at=recorded.at,
        workflow=event.workflow,
    )
    if isinstance(prompt := source_of(event), PromptSource):
        row.prompt, row.client, row.graph = prompt.id, prompt.client, prompt.sent.digest
        row.extra = prompt.extra.digest if prompt.extra else None
        row.number = row.number if prompt.number is None else prompt.number
    return row


def _started(row: PromptRow, event: RunStarted, at: datetime) -> None:
    row.status, row.started_at = Status.RUNNING, at


def _stored(row: PromptRow, event: OutputStored, at: datetime) -> None:
    row.outputs += 1


def _succeeded(row: PromptRow, event: RunSucceeded, at: datetime) -> None:
    row.status, row.ended_at, row.course, row.failure = Status.SUCCEEDED, at, event.course, None
    row.started_at = min(
        row.started_at or at, at - timedelta(seconds=event.execution_s)
    )  # a short one is told at once


def _failed(row: PromptRow, event: RunFailed, at: datetime) -> None:
    row.status, row.ended_at, row.course, row.failure = Status.FAILED, at, event.course, event.failure


def _cancelled(row: PromptRow, event: RunCancelled, at: datetime) -> None:
    row.status, row.ended_at = Status.CANCELLED, at


def _stopped(row: PromptRow, event: RunStopped, at: datetime) -> None:
    row.course = event.course


def _waits(row: PromptRow, event: RunAttemptLost | RunRequeued | RunRevived, at: datetime) -> None:
    row.status, row.started_at, row.ended_at = Status.QUEUED, None, None
    row.outputs = row.outputs if isinstance(event, RunRequeued) else 0


def _dismissed(row: PromptRow, event: RunDismissed, at: datetime) -> None:
    row.dismissed = True


def _output_deleted(row: PromptRow, event: OutputDeleted, at: datetime) -> None:
    row.outputs -= 1


def _unchanged(row: PromptRow, event: RunClaimed, at: datetime) -> None:
    """Its client learns of it when it has begun."""


CHANGES: dict[type[Event], Callable[[PromptRow, Any, datetime], None]] = {
    RunClaimed: _unchanged,
    RunStarted: _started,
    OutputStored: _stored,
    OutputDeleted: _output_deleted,
    RunSucceeded: _succeeded,
    RunFailed: _failed,
    RunCancelled: _cancelled,
    RunStopped: _stopped,
    RunAttemptLost: _waits,
    RunRequeued: _waits,
    RunRevived: _waits,
    RunDismissed: _dismissed,
}

PROMPTS_SENT = Projection(
    name="prompts",
    version=1,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(PROMPTS,),
    fold=fold,
    events=(RunSubmitted, RunDeleted, *CHANGES),
    reads=frozenset({"at"}),
)

_COLUMNS = """run, owner, prompt, client, number, graph, extra, status, priority, position, submitted_at, workflow,
    started_at, ended_at, outputs, failure, course, dismissed"""
_WAITING = f"""
SELECT {_COLUMNS} FROM read.prompts WHERE owner = %(owner)s AND status IN ('queued', 'running')
ORDER BY status = 'running' DESC, priority DESC, position LIMIT %(limit)s
""".encode()
_COUNT = b"""
SELECT count(*) FROM (
    SELECT FROM read.prompts WHERE owner = %(owner)s AND status IN ('queued', 'running') LIMIT %(limit)s
) AS waiting
"""
_NEWEST = f"""
SELECT {_COLUMNS} FROM read.prompts
WHERE owner = %(owner)s AND status IN ('succeeded', 'failed', 'cancelled') AND NOT dismissed
    AND (NOT %(executed)s OR status <> 'cancelled' OR started_at IS NOT NULL)
ORDER BY position DESC OFFSET %(offset)s LIMIT %(limit)s
""".encode()
_OLDEST = _NEWEST.replace(b"position DESC", b"position")
_OVER = b"""
SELECT count(*) FROM (
    SELECT FROM read.prompts WHERE owner = %(owner)s AND status IN ('succeeded', 'failed', 'cancelled')
        AND NOT dismissed LIMIT %(limit)s
) AS over
"""
_ONE = f"SELECT {_COLUMNS} FROM read.prompts WHERE owner = %(owner)s AND run = ANY (%(runs)s)".encode()


async def waiting(cursor: Cursor, owner: AccountId) -> list[PromptRow]:
    """Of an account: what runs, then what waits, in the order of its turns."""
    return await _rows(cursor, _WAITING, {"owner": owner, "limit": MOST})


async def count_waiting(cursor: Cursor, owner: AccountId) -> int:
    """How many run or wait."""
    return await _number(cursor, _COUNT, {"owner": owner, "limit": MOST})


async def count_over(cursor: Cursor, owner: AccountId) -> int:
    return await _number(cursor, _OVER, {"owner": owner, "limit": MOST})


async def over(
    cursor: Cursor,
    owner: AccountId,
    limit: int,
    offset: int = 0,
    *,
    oldest_first: bool = False,
    executed: bool = True,
) -> list[PromptRow]:
    """Those that ended. `executed`: without those that never began: a ComfyUI keeps nothing of them."""
    asked = {"owner": owner, "limit": min(limit, MOST), "offset": min(offset, MOST), "executed": executed}
    return await _rows(cursor, _OLDEST if oldest_first else _NEWEST, asked)


async def of_runs(cursor: Cursor, owner: AccountId, runs: Collection[RunId]) -> list[PromptRow]:
    """Those of an account's runs that are there."""
    return await _rows(cursor, _ONE, {"owner": owner, "runs": list(runs)})


async def _rows(cursor: Cursor, query: bytes, asked: dict[str, Any]) -> list[PromptRow]:
    await cursor.execute(query, asked, prepare=True)
    return [_row(row) for row in await cursor.fetchall()]


async def _number(cursor: Cursor, query: bytes, asked: dict[str, Any]) -> int:
    await cursor.execute(query, asked, prepare=True)
    row = await cursor.fetchone()
    return 0 if row is None else int(row[0])


def _row(columns: tuple[Any, ...]) -> PromptRow:
    row = PromptRow(*columns)
    row.status = Status(row.status)
    row.failure = None if row.failure is None else convert(row.failure, Failure)
    row.course = None if row.course is None else convert(row.course, Course)
    return row
