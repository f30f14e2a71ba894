"""Usage: how many runs an account had on each day, and how long they kept the machines busy."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

from msgspec import Struct

from domain.event import AnyRecorded, Event
from domain.ids import AccountId
from domain.run import (
    OutputDeleted,
    OutputStored,
    RunAttemptLost,
    RunCancelled,
    RunDeleted,
    RunFailed,
    RunRequeued,
    RunStarted,
    RunSubmitted,
    RunSucceeded,
)
from projections.paging import bounded, lettered, page, unreadable
from projections.projection import Buffer, Projection, Table
from projections.reading import Cursor, one, planned_anew

LAST = "9999-12-31"


class DayRow(Struct, gc=False):
    """Of the day, in UTC, on which it happened. `run_seconds`: also of attempts that came to nothing.

    `stored_bytes`: of outputs; `removed_bytes`: of those that came to nothing, or were deleted.
    """

    owner: AccountId
    day: str
    submitted: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    run_seconds: float = 0.0
    stored_bytes: int = 0
    removed_bytes: int = 0


class MachineRow(Struct, gc=False):
    """How long one backend was busy with an account's runs on a day. Its name is empty where nobody has said."""

    owner: AccountId
    day: str
    backend: str
    run_seconds: float = 0.0


class RunningRow(Struct, gc=False):
    """A run that keeps a machine busy: when it is cancelled nobody else says for how long it did."""

    id: UUID
    started_at: datetime
    backend: str = ""


class StoredRow(Struct, gc=False):
    """How many bytes of outputs a run has at the moment."""

    id: UUID
    size_bytes: int


COUNTED: dict[type[Event], str] = {
    RunSubmitted: "submitted",
    RunSucceeded: "succeeded",
    RunFailed: "failed",
    RunCancelled: "cancelled",
}
ENDING = frozenset({RunSucceeded, RunAttemptLost, RunRequeued, RunFailed, RunCancelled})
STORING = frozenset({OutputStored, OutputDeleted, RunAttemptLost, RunDeleted})


def _owner(recorded: AnyRecorded) -> Iterable[UUID]:
    event = type(recorded.event)
    wanted = event in COUNTED or event in STORING
    return (recorded.owner,) if wanted and recorded.owner is not None else ()


def _run(recorded: AnyRecorded) -> Iterable[UUID]:
    return (recorded.stream,) if type(recorded.event) in ENDING else ()


def _with_files(recorded: AnyRecorded) -> Iterable[UUID]:
    return (recorded.stream,) if type(recorded.event) in STORING else ()


DAYS = Table("usage_days", DayRow, ("owner", "day"), _owner)
MACHINES = Table("usage_machines", MachineRow, ("owner", "day", "backend"), _owner)
RUNNING = Table("usage_running", RunningRow, ("id",), _run, begins=frozenset({RunSubmitted}))
STORED = Table("usage_stored", StoredRow, ("id",), _with_files, begins=frozenset({RunSubmitted}))


class Spent(Struct):
    """What one event adds to its day."""

    seconds: float = 0.0
    backend: str = ""
    stored_bytes: int = 0
    removed_bytes: int = 0


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    event, at, owner = recorded.event, recorded.at, recorded.owner
    if owner is None:
        return
    if type(event) is RunStarted:
        buffer["usage_running"].put(RunningRow(recorded.stream, at, event.backend))
        return
    spent = Spent()
    if type(event) in ENDING:
        _end(recorded, buffer, spent)
    if type(event) in STORING:
        _store(recorded, buffer, spent)
    counted = COUNTED.get(type(event))
    if counted is None and spent == Spent():
        return
    day = at.astimezone(UTC).date().isoformat()
    row = buffer["usage_days"].get((owner, day)) or DayRow(owner, day)
    row.run_seconds += spent.seconds
    row.stored_bytes += spent.stored_bytes
    row.removed_bytes += spent.removed_bytes
    if counted is not None:
        setattr(row, counted, getattr(row, counted) + 1)
    buffer["usage_days"].put(row)
    if spent.seconds:
        key = (owner, day, spent.backend)
        machine = buffer["usage_machines"].get(key) or MachineRow(*key)
        machine.run_seconds += spent.seconds
        buffer["usage_machines"].put(machine)


def _end(recorded: AnyRecorded, buffer: Buffer, spent: Spent) -> None:
    running = buffer["usage_running"].get(recorded.stream)
    if running is not None:
        buffer["usage_running"].remove(recorded.stream)
    match recorded.event:
        case (
            RunSucceeded(execution_s=execution_s, backend=backend)
            | RunAttemptLost(execution_s=execution_s, backend=backend)
        ):
            spent.seconds = execution_s
            spent.backend = backend or ("" if running is None else running.backend)
        case RunCancelled() if running is not None:
            spent.seconds, spent.backend = (recorded.at - running.started_at).total_seconds(), running.backend
        case _:
            pass


def _store(recorded: AnyRecorded, buffer: Buffer, spent: Spent) -> None:
    rows, run = buffer["usage_stored"], recorded.stream
    stored = rows.get(run) or StoredRow(run, 0)
    match recorded.event:
        case OutputStored(output=output):
            spent.stored_bytes = output.size_bytes
            rows.put(StoredRow(run, stored.size_bytes + output.size_bytes))
        case OutputDeleted(size_bytes=size_bytes):
            spent.removed_bytes = min(size_bytes, stored.size_bytes)
            rows.put(StoredRow(run, stored.size_bytes - spent.removed_bytes))
        case _:
            spent.removed_bytes = stored.size_bytes
            rows.remove(run)


USAGE = Projection(
    name="usage",
    version=2,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(DAYS, MACHINES, RUNNING, STORED),
    fold=fold,
    events=(
        *(RunSubmitted, RunStarted, RunSucceeded, RunAttemptLost, RunRequeued, RunFailed, RunCancelled),
        *(OutputStored, OutputDeleted, RunDeleted),
    ),
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
    parameters = {"owner": owner, "after": _day(after), "limit": bounded(limit)}
    return await one(cursor, _OWN, parameters) or b""


def _day(cursor: str | None) -> str:
    """Raises Invalid."""
    if cursor is None:
        return LAST
    try:
        return date.fromisoformat(cursor).isoformat()
    except ValueError as error:
        raise unreadable() from error


_SUMS = """sum(used.submitted) AS submitted, sum(used.succeeded) AS succeeded, sum(used.failed) AS failed,
        sum(used.cancelled) AS cancelled, round(sum(used.run_seconds)::numeric, 3) AS run_seconds,
        sum(used.stored_bytes) AS stored_bytes, sum(used.removed_bytes) AS removed_bytes"""
_POOL = "(SELECT backend.pool FROM read.backends AS backend WHERE backend.name = busy.backend)"
_MACHINES = f"json_build_object('backend', busy.backend, 'pool', {_POOL}, 'run_seconds', busy.run_seconds)"
_BETWEEN = f"""SELECT convert_to(json_build_object(
    'kept_bytes', (
        SELECT coalesce(sum(used.stored_bytes - used.removed_bytes), 0) FROM read.usage_days AS used
        WHERE (%(owner)s::uuid IS NULL OR used.owner = %(owner)s) AND used.day < %(since)s
    ),
    'days', coalesce((SELECT json_agg(one) FROM (
        SELECT used.day, {_SUMS} FROM read.usage_days AS used
        WHERE (%(owner)s::uuid IS NULL OR used.owner = %(owner)s) AND used.day BETWEEN %(since)s AND %(until)s
        GROUP BY used.day ORDER BY used.day
    ) AS one), '[]'),
    'machines', coalesce((SELECT json_agg(json_build_object(
        'day', busy.day, 'backend', busy.backend, 'pool', {_POOL}, 'run_seconds', busy.run_seconds)) FROM (
        SELECT used.day, used.backend, sum(used.run_seconds) AS run_seconds FROM read.usage_machines AS used
        WHERE (%(owner)s::uuid IS NULL OR used.owner = %(owner)s) AND used.day BETWEEN %(since)s AND %(until)s
        GROUP BY used.day, used.backend ORDER BY used.day, used.backend
    ) AS busy), '[]')
)::text, 'UTF8')""".encode()
_ACCOUNTS = page(
    f"""SELECT json_build_object('account', spent.owner, 'submitted', spent.submitted,
        'succeeded', spent.succeeded, 'failed', spent.failed, 'cancelled', spent.cancelled,
        'run_seconds', spent.run_seconds, 'stored_bytes', spent.stored_bytes, 'storage_bytes', (
            SELECT sum(kept.stored_bytes - kept.removed_bytes) FROM read.usage_days AS kept
            WHERE kept.owner = spent.owner AND kept.day <= %(until)s
        ), 'machines', coalesce((SELECT json_agg({_MACHINES}) FROM (
            SELECT machine.backend, sum(machine.run_seconds) AS run_seconds FROM read.usage_machines AS machine
            WHERE machine.owner = spent.owner AND machine.day BETWEEN %(since)s AND %(until)s
            GROUP BY machine.backend ORDER BY machine.backend
        ) AS busy), '[]')) AS item, spent.owner AS place
    FROM (
        SELECT used.owner, {_SUMS} FROM read.usage_days AS used
        WHERE used.day BETWEEN %(since)s AND %(until)s AND used.owner > %(after)s
        GROUP BY used.owner ORDER BY used.owner LIMIT %(limit)s::int + 1
    ) AS spent ORDER BY spent.owner""",
    "place::text",
)


async def between(cursor: Cursor, owner: AccountId | None, since: str, until: str) -> bytes:
    """Days with something in them, and how long which backend was busy. None for `owner`: everybody's."""
    await planned_anew(cursor)
    return await one(cursor, _BETWEEN, {"owner": owner, "since": since, "until": until}) or b""


async def accounts(cursor: Cursor, limit: int, after: str | None = None, *, since: str, until: str) -> bytes:
    """What each account has used in some days, by their ids. Raises Invalid."""
    _, id = lettered(None if after is None else f"{after}.")
    parameters = {"after": id, "limit": bounded(limit), "since": since, "until": until}
    await planned_anew(cursor)
    return await one(cursor, _ACCOUNTS, parameters) or b""
