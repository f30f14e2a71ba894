"""Usage: how many runs an account had on each day, and how long they kept the machines busy."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from msgspec import Struct

from domain.event import AnyRecorded, Event
from domain.ids import AccountId
from domain.run import (
    RunAttemptLost,
    RunCancelled,
    RunFailed,
    RunRequeued,
    RunStarted,
    RunSubmitted,
    RunSucceeded,
)
from projections.paging import bounded, page
from projections.projection import Buffer, Projection, Table
from projections.reading import Cursor, one

LAST = "9999-12-31"


class DayRow(Struct, gc=False):
    """Of the day, in UTC, on which it happened. `run_seconds`: also of attempts that came to nothing."""

    owner: AccountId
    day: str
    submitted: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    run_seconds: float = 0.0


class RunningRow(Struct, gc=False):
    """A run that keeps a machine busy: when it is cancelled nobody else says for how long it did."""

    id: UUID
    started_at: datetime


COUNTED: dict[type[Event], str] = {
    RunSubmitted: "submitted",
    RunSucceeded: "succeeded",
    RunFailed: "failed",
    RunCancelled: "cancelled",
}
ENDING = frozenset({RunSucceeded, RunAttemptLost, RunRequeued, RunFailed, RunCancelled})


def _owner(recorded: AnyRecorded) -> Iterable[UUID]:
    event = type(recorded.event)
    wanted = event in COUNTED or event is RunAttemptLost
    return (recorded.owner,) if wanted and recorded.owner is not None else ()


def _run(recorded: AnyRecorded) -> Iterable[UUID]:
    return (recorded.stream,) if type(recorded.event) in ENDING else ()


DAYS = Table("usage_days", DayRow, ("owner", "day"), _owner)
RUNNING = Table("usage_running", RunningRow, ("id",), _run, begins=frozenset({RunSubmitted}))


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    event, at, owner = recorded.event, recorded.at, recorded.owner
    if owner is None:
        return
    if type(event) is RunStarted:
        buffer["usage_running"].put(RunningRow(recorded.stream, at))
        return
    seconds = 0.0
    if type(event) in ENDING:
        running = buffer["usage_running"].get(recorded.stream)
        if running is not None:
            buffer["usage_running"].remove(recorded.stream)
        match event:
            case RunSucceeded(execution_s=execution_s) | RunAttemptLost(execution_s=execution_s):
                seconds = execution_s
            case RunCancelled() if running is not None:
                seconds = (at - running.started_at).total_seconds()
            case _:
                pass
    counted = COUNTED.get(type(event))
    if counted is None and not seconds:
        return
    day = at.astimezone(UTC).date().isoformat()
    row = buffer["usage_days"].get((owner, day)) or DayRow(owner, day)
    row.run_seconds += seconds
    if counted is not None:
        setattr(row, counted, getattr(row, counted) + 1)
    buffer["usage_days"].put(row)


USAGE = Projection(
    name="usage",
    version=1,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(DAYS, RUNNING),
    fold=fold,
    events=(RunSubmitted, RunStarted, RunSucceeded, RunAttemptLost, RunRequeued, RunFailed, RunCancelled),
    reads=frozenset({"at", "owner"}),
    unhurried=True,
)

_OWN = page(
    """SELECT json_build_object('day', used.day, 'submitted', used.submitted, 'succeeded', used.succeeded,
        'failed', used.failed, 'cancelled', used.cancelled, 'run_seconds', round(used.run_seconds::numeric, 3)
    ) AS item, used.day FROM read.usage_days AS used
    WHERE used.owner = %(owner)s AND used.day < %(after)s ORDER BY used.day DESC LIMIT %(limit)s::int + 1""",
    "day",
)


async def own_days(cursor: Cursor, owner: AccountId, limit: int, after: str | None = None) -> bytes:
    """An account's days with something in them, the newest first. Raises Invalid."""
    parameters = {"owner": owner, "after": LAST if after is None else after, "limit": bounded(limit)}
    return await one(cursor, _OWN, parameters) or b""
