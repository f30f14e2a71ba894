"""Statistics: what there is and what happened on each day, counted as it happens. For administrators.

So that they cost the same however much there is: totals are sums over days.
"""

from collections.abc import Iterable
from datetime import UTC
from pathlib import Path
from uuid import UUID

from msgspec import Struct

from domain.account import AccountErased, AccountLoggedIn, AccountRegistered
from domain.comment import CommentDeleted, CommentPosted
from domain.event import AnyRecorded, Event
from domain.follow import FollowBegun, FollowEnded
from domain.ids import AccountId
from domain.input import InputDeleted, InputStored
from domain.like import LikeGiven, LikeTakenBack
from domain.lora import LoraDeleted, LoraUploaded
from domain.output_like import OutputLiked, OutputUnliked
from domain.report import ReportMade
from domain.run import SHARED, RunAttemptLost, RunCancelled, RunFailed, RunSubmitted, RunSucceeded
from domain.shared_output import OutputHidden, OutputPublished, OutputShownAgain, OutputWithdrawn
from domain.workflow import (
    WorkflowCreated,
    WorkflowDeleted,
    WorkflowHidden,
    WorkflowPublished,
    WorkflowShownAgain,
    WorkflowVersionSaved,
    WorkflowWithdrawn,
)
from projections.projection import Buffer, Projection, Table
from projections.reading import Cursor, one, planned_anew


class DayCountRow(Struct, gc=False):
    """How much of something came and went on a day, in UTC."""

    day: str
    what: str
    added: int = 0
    removed: int = 0


class PoolDayRow(Struct, gc=False):
    """What became of runs of a pool on a day. `run_seconds`: for how long attempts kept machines busy."""

    day: str
    pool: str
    submitted: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    run_seconds: float = 0.0


class ActiveRow(Struct, gc=False):
    """An account that has done something on a day."""

    account: AccountId
    day: str


class RunPoolRow(Struct, gc=False):
    """Where a run waits that waits elsewhere than most."""

    run: UUID
    pool: str


class ShownRow(Struct, gc=False):
    """A workflow or an output that is published and not hidden."""

    id: UUID


class FileRow(Struct, gc=False):
    id: UUID
    size_bytes: int


COUNTED: dict[type[Event], tuple[str, int]] = {
    AccountRegistered: ("accounts", 1),
    AccountErased: ("accounts", -1),
    WorkflowCreated: ("workflows", 1),
    WorkflowDeleted: ("workflows", -1),
    WorkflowVersionSaved: ("versions", 1),
    CommentPosted: ("comments", 1),
    CommentDeleted: ("comments", -1),
    LikeGiven: ("likes", 1),
    LikeTakenBack: ("likes", -1),
    OutputLiked: ("likes", 1),
    OutputUnliked: ("likes", -1),
    FollowBegun: ("follows", 1),
    FollowEnded: ("follows", -1),
    ReportMade: ("reports", 1),
    InputStored: ("inputs", 1),
    InputDeleted: ("inputs", -1),
    LoraUploaded: ("loras", 1),
    LoraDeleted: ("loras", -1),
}
ENDED: dict[type[Event], str] = {
    RunSucceeded: "succeeded",
    RunFailed: "failed",
    RunCancelled: "cancelled",
}
OF_WORKFLOWS = (WorkflowPublished, WorkflowShownAgain, WorkflowWithdrawn, WorkflowHidden, WorkflowDeleted)
OF_OUTPUTS = (OutputPublished, OutputShownAgain, OutputWithdrawn, OutputHidden)
ACTS = (AccountLoggedIn, RunSubmitted, WorkflowVersionSaved, CommentPosted, LikeGiven, OutputLiked)
_RUNS: frozenset[type[Event]] = frozenset((RunSubmitted, RunAttemptLost, *ENDED))
_SHOWING: frozenset[type[Event]] = frozenset((*OF_WORKFLOWS, *OF_OUTPUTS))
_FILES = frozenset({InputDeleted, LoraDeleted})
_LOOKED_AT = frozenset[type[Event]]((*COUNTED, *_RUNS, *_SHOWING, *ACTS))


def _day(recorded: AnyRecorded) -> str:
    return recorded.at.astimezone(UTC).date().isoformat()


def _on_day(recorded: AnyRecorded) -> Iterable[str]:
    return (_day(recorded),)


def _file(recorded: AnyRecorded) -> UUID:
    """Of inputs each has its stream, of LoRAs all of an account have one."""
    event = recorded.event
    return event.lora if isinstance(event, LoraUploaded | LoraDeleted) else recorded.stream


def _active(recorded: AnyRecorded) -> Iterable[UUID]:
    return (recorded.owner,) if type(recorded.event) in ACTS and recorded.owner is not None else ()


def _of_run(recorded: AnyRecorded) -> Iterable[UUID]:
    return (recorded.stream,) if type(recorded.event) in _RUNS else ()


def _shown(recorded: AnyRecorded) -> Iterable[UUID]:
    return (recorded.stream,) if type(recorded.event) in _SHOWING else ()


def _gone(recorded: AnyRecorded) -> Iterable[UUID]:
    return (_file(recorded),) if type(recorded.event) in _FILES else ()


DAYS = Table("statistics_days", DayCountRow, ("day", "what"), _on_day)
RUNS = Table("statistics_runs", PoolDayRow, ("day", "pool"), _on_day)
ACTIVE = Table("statistics_active", ActiveRow, ("account", "day"), _active)
POOLS = Table("statistics_pools", RunPoolRow, ("run",), _of_run, begins=frozenset({RunSubmitted}))
SHOWN = Table("statistics_shown", ShownRow, ("id",), _shown)
FILES = Table("statistics_files", FileRow, ("id",), _gone)


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    event, kind = recorded.event, type(recorded.event)
    if kind in ACTS and recorded.owner is not None:
        buffer[ACTIVE.name].put(ActiveRow(recorded.owner, _day(recorded)))
    if kind in COUNTED:
        _count(recorded, *COUNTED[kind], buffer)
    if kind in _RUNS:
        _run(recorded, buffer)
    elif kind in _SHOWING:
        _show(recorded, buffer)
    match event:
        case InputStored(size_bytes=size_bytes):
            _store(recorded, "input_bytes", size_bytes, buffer)
        case LoraUploaded(content=content):
            _store(recorded, "lora_bytes", content.size_bytes, buffer)
        case InputDeleted():
            _remove(recorded, "input_bytes", buffer)
        case LoraDeleted():
            _remove(recorded, "lora_bytes", buffer)
        case _:
            pass


def _count(recorded: AnyRecorded, what: str, more: int, buffer: Buffer) -> None:
    key = (_day(recorded), what)
    row = buffer[DAYS.name].get(key) or DayCountRow(*key)
    row.added += max(more, 0)
    row.removed += max(-more, 0)
    buffer[DAYS.name].put(row)


def _run(recorded: AnyRecorded, buffer: Buffer) -> None:
    event, pools = recorded.event, buffer[POOLS.name]
    if isinstance(event, RunSubmitted):
        pool = event.pool
        if pool != SHARED:
            pools.put(RunPoolRow(recorded.stream, pool))
    else:
        elsewhere = pools.get(recorded.stream)
        pool = SHARED if elsewhere is None else elsewhere.pool
    row = buffer[RUNS.name].get((_day(recorded), pool)) or PoolDayRow(_day(recorded), pool)
    match event:
        case RunSubmitted():
            row.submitted += 1
        case RunSucceeded(execution_s=execution_s):
            row.succeeded += 1
            row.run_seconds += execution_s
        case RunAttemptLost(execution_s=execution_s):
            row.run_seconds += execution_s
        case _:
            name = ENDED[type(event)]
            setattr(row, name, getattr(row, name) + 1)
    buffer[RUNS.name].put(row)


def _show(recorded: AnyRecorded, buffer: Buffer) -> None:
    shown, event = buffer[SHOWN.name], recorded.event
    now = isinstance(event, WorkflowPublished | OutputPublished | OutputShownAgain) or (
        isinstance(event, WorkflowShownAgain) and event.public
    )
    if now == (shown.get(recorded.stream) is not None):
        return
    if now:
        shown.put(ShownRow(recorded.stream))
    else:
        shown.remove(recorded.stream)
    what = "published_workflows" if type(event) in OF_WORKFLOWS else "published_outputs"
    _count(recorded, what, 1 if now else -1, buffer)


def _store(recorded: AnyRecorded, what: str, size_bytes: int, buffer: Buffer) -> None:
    buffer[FILES.name].put(FileRow(_file(recorded), size_bytes))
    _count(recorded, what, size_bytes, buffer)


def _remove(recorded: AnyRecorded, what: str, buffer: Buffer) -> None:
    if (row := buffer[FILES.name].get(_file(recorded))) is not None:
        buffer[FILES.name].remove(row.id)
        _count(recorded, what, -row.size_bytes, buffer)


STATISTICS = Projection(
    name="statistics",
    version=1,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(DAYS, RUNS, ACTIVE, POOLS, SHOWN, FILES),
    fold=fold,
    events=tuple(_LOOKED_AT),
    reads=frozenset({"at", "owner"}),
    unhurried=True,
)

_BETWEEN = b"""SELECT convert_to(json_build_object(
    'totals', coalesce((SELECT json_object_agg(what, json_build_object(
        'total', total, 'added', added, 'removed', removed)) FROM (
        SELECT what, sum(count.added - count.removed) AS total,
            coalesce(sum(count.added) FILTER (WHERE day >= %(since)s), 0) AS added,
            coalesce(sum(count.removed) FILTER (WHERE day >= %(since)s), 0) AS removed
        FROM read.statistics_days AS count WHERE day <= %(until)s GROUP BY what
    ) AS one), '{}'),
    'active', (
        SELECT count(*) FROM (
            SELECT account FROM read.statistics_active WHERE day BETWEEN %(since)s AND %(until)s GROUP BY account
        ) AS one
    ),
    'active_days', coalesce((SELECT json_agg(json_build_object('day', day, 'accounts', accounts) ORDER BY day) FROM (
        SELECT day, count(*) AS accounts FROM read.statistics_active
        WHERE day BETWEEN %(since)s AND %(until)s GROUP BY day
    ) AS one), '[]'),
    'runs', coalesce((SELECT json_agg(json_build_object('day', day, 'pool', pool, 'submitted', submitted,
        'succeeded', succeeded, 'failed', failed, 'cancelled', cancelled,
        'run_seconds', round(run_seconds::numeric, 3)) ORDER BY day, pool)
        FROM read.statistics_runs WHERE day BETWEEN %(since)s AND %(until)s), '[]'),
    'output_bytes', (
        SELECT coalesce(sum(used.stored_bytes - used.removed_bytes), 0) FROM read.usage_days AS used
        WHERE used.day <= %(until)s
    ),
    'backends', (SELECT count(*) FROM read.backends),
    'live_backends', (SELECT count(*) FROM read.backends WHERE live AND NOT draining)
)::text, 'UTF8')"""


async def between(cursor: Cursor, since: str, until: str) -> bytes:
    """What there was at the end of some days, and what came, went and ran in them."""
    await planned_anew(cursor)
    return await one(cursor, _BETWEEN, {"since": since, "until": until}) or b""
