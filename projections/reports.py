"""Reports: what is reported, and what those who keep order have decided. Nobody else sees any of it."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

from msgspec import Struct

from domain.event import AnyRecorded
from domain.ids import AccountId, report_id
from domain.report import HidingUndone, Kind, ReportEvent, ReportMade, ReportsDismissed, ReportsUpheld
from projections.paging import bounded, numbered, page
from projections.projection import Buffer, Projection, Table, by_stream
from projections.reading import Cursor, one, planned_anew

SHOWN_ENTRIES = 200  # of one thing, the last ones


class State(StrEnum):
    OPEN = "open"
    DISMISSED = "dismissed"
    HIDDEN = "hidden"
    RESTORED = "restored"


class CaseRow(Struct, gc=False):
    """A thing that was reported. `open`: how many reports nobody has decided about. `said`: when last reported."""

    id: UUID
    kind: Kind
    subject: UUID
    owner: AccountId
    state: State
    open: int
    reports: int
    said: str
    reported_at: datetime
    changed_at: datetime
    position: int
    decided_by: AccountId | None = None
    reason: str = ""


class EntryRow(Struct, gc=False):
    """A report, or a decision. `reason`: of a report one word, of a decision why."""

    position: int
    report: UUID
    deed: str
    by: AccountId
    reason: str
    text: str
    said: str
    at: datetime


CASES = Table("report_cases", CaseRow, ("id",), by_stream)
ENTRIES = Table("report_entries", EntryRow, ("position",), grows_only=True)


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    match recorded.event:
        case ReportMade() as made:
            _report(made, recorded, buffer)
            _note("reported", made.by, made.reason, recorded, buffer, text=made.text, said=made.said)
        case ReportsDismissed(by=by, reason=reason):
            _decide(State.DISMISSED, by, reason, recorded, buffer)
        case ReportsUpheld() as upheld:
            if buffer[CASES.name].get(recorded.stream) is None:
                buffer[CASES.name].put(_case(upheld, recorded))
            _decide(State.HIDDEN, upheld.by, upheld.reason, recorded, buffer)
        case HidingUndone(by=by, reason=reason):
            _decide(State.RESTORED, by, reason, recorded, buffer)
        case _:
            pass


def _case(event: ReportMade | ReportsUpheld, recorded: AnyRecorded) -> CaseRow:
    at, id = recorded.at, recorded.stream
    return CaseRow(
        id=id,
        kind=event.kind,
        subject=event.subject,
        owner=event.owner,
        state=State.OPEN,
        open=0,
        reports=0,
        said=event.said,
        reported_at=at,
        changed_at=at,
        position=recorded.position,
    )


def _report(made: ReportMade, recorded: AnyRecorded, buffer: Buffer) -> None:
    cases = buffer[CASES.name]
    if cases.get(recorded.stream) is None:
        cases.put(_case(made, recorded))
    if case := cases.edit(recorded.stream):
        case.state, case.said = State.OPEN, made.said
        case.open, case.reports = case.open + 1, case.reports + 1
        case.changed_at, case.position = recorded.at, recorded.position


def _decide(state: State, by: AccountId, reason: str, recorded: AnyRecorded, buffer: Buffer) -> None:
    position, at = recorded.position, recorded.at
    buffer[CASES.name].change(
        recorded.stream, state=state, open=0, decided_by=by, reason=reason, changed_at=at, position=position
    )
    _note(state, by, reason, recorded, buffer)


def _note(
    deed: str,
    by: AccountId,
    reason: str,
    recorded: AnyRecorded,
    buffer: Buffer,
    *,
    text: str = "",
    said: str = "",
) -> None:
    position, at = recorded.position, recorded.at
    buffer[ENTRIES.name].put(EntryRow(position, recorded.stream, deed, by, reason, text, said, at))


REPORTS_MADE = Projection(
    name="reports",
    version=2,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(CASES, ENTRIES),
    fold=fold,
    events=get_args(ReportEvent),
    reads=frozenset({"at"}),
)

_CASE = """'kind', it.kind, 'id', it.subject, 'owner', it.owner, 'state', it.state, 'open', it.open,
    'reports', it.reports, 'said', it.said, 'reported_at', it.reported_at, 'changed_at', it.changed_at,
    'decided_by', it.decided_by, 'reason', it.reason"""


def _page(condition: str) -> bytes:
    return page(
        f"""SELECT json_build_object({_CASE}) AS item, it.position FROM read.report_cases AS it
        WHERE {condition}it.position < %(before)s
            AND (%(kind)s::text IS NULL OR it.kind = %(kind)s)
        ORDER BY it.position DESC LIMIT %(limit)s::int + 1""",
        "position::text",
    )


_ALL, _IN_STATE = _page(""), _page("it.state = %(state)s AND ")
_ONE = f"""
SELECT convert_to(json_build_object({_CASE}, 'entries', coalesce((
    SELECT json_agg(json_build_object(
        'deed', entry.deed, 'by', entry.by, 'reason', entry.reason, 'text', entry.text, 'said', entry.said,
        'at', entry.at
    ) ORDER BY entry.position DESC)
    FROM (
        SELECT position, deed, by, reason, text, said, at FROM read.report_entries
        WHERE report = it.id ORDER BY position DESC LIMIT {SHOWN_ENTRIES}
    ) AS entry
), '[]'))::text, 'UTF8')
FROM read.report_cases AS it WHERE it.id = %(id)s
""".encode()

_BEHIND_ALL = 2**62


async def queue(
    cursor: Cursor,
    limit: int,
    after: str | None = None,
    *,
    state: State | None = None,
    kind: Kind | None = None,
) -> bytes:
    """What was reported, what was last reported or decided first. Raises Invalid."""
    asked: dict[str, Any] = {"limit": bounded(limit), "before": numbered(after, _BEHIND_ALL), "kind": kind}
    await planned_anew(cursor)
    if state is None:
        return await one(cursor, _ALL, asked) or b""
    return await one(cursor, _IN_STATE, asked | {"state": state}) or b""


async def case(cursor: Cursor, kind: Kind, subject: UUID) -> bytes | None:
    """One thing with its reports and decisions, the last first."""
    return await one(cursor, _ONE, {"id": report_id(kind, subject)})
