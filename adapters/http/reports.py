"""Reports of what should not be there, and what those who keep order decide."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from adapters.http.answers import Cursor, answers
from adapters.http.auth import Moved
from adapters.http.bodies import StrictBody
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.reads import Reader, json_response
from commands.moderation import DismissReports, HideThing, MarkThing, ReportThing, ShowThing, as_it_is
from commands.streams import Context
from domain import report
from domain.refusals import NotFound
from domain.report import Kind
from projections import reports
from projections.reports import State

NO_CASE = "Nothing is reported about it."
Why = Annotated[
    str, Meta(description="For its owner, and for those who read the log later.", examples=["Spam."])
]


class ReportBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    kind: Kind
    id: UUID
    reason: report.Reason
    text: Annotated[str, Meta(description="What is wrong with it; 2000 characters at most.")] = ""


class DecisionBody(Struct, frozen=True, forbid_unknown_fields=True):
    reason: Why


class MarkBody(Struct, frozen=True, forbid_unknown_fields=True):
    sensitive: bool
    reason: Why


class CaseSummary(Struct, kw_only=True):
    """`open`: how many reports nobody has decided about. `said`: the beginning of what it said when reported last."""

    kind: Kind
    id: UUID
    owner: UUID
    state: State
    open: int
    reports: Annotated[int, Meta(description="All there ever were.")]
    said: str
    reported_at: datetime
    changed_at: datetime
    decided_by: UUID | None
    reason: Annotated[str, Meta(description="Of the last decision.")]


class CasePage(Struct):
    items: list[CaseSummary]
    next_cursor: Cursor


class CaseEntry(Struct):
    """`reason`: of a report one word, of a decision why. `said`: the beginning of what it said then."""

    deed: Literal["reported", "dismissed", "hidden", "restored"]
    by: UUID
    reason: str
    text: str
    said: str
    at: datetime


class CaseAnswer(CaseSummary, kw_only=True):
    """`entries`: reports and decisions, the last 200, the last first. `now`: the thing as it is, hidden or not."""

    entries: list[CaseEntry]
    now: Annotated[
        dict[str, Any], Meta(description="Its own fields; `hidden`, `deleted`: what became of it.")
    ]


@post(
    "/reports",
    dto=StrictBody[ReportBody],
    return_dto=None,
    responses=answers(201, Moved, 401, 404, 409, 415, 422, 429),
)
async def make(
    data: JSONBody[ReportBody],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Tell moderators of something that you see. Twice, before they have decided, is as once. 409: it is your own."""
    wish = ReportThing(by=caller.account, kind=data.kind, subject=data.id, reason=data.reason, text=data.text)
    return Moved((await parts.commands.run(wish, context)).position)


@get("/admin/reports", responses=answers(200, CasePage, 401, 403, 422))
async def queue(
    judge: NamedDependency[Reader],
    in_state: Annotated[State | None, QueryParameter(name="state")] = None,
    kind: FromQuery[Kind | None] = None,
    limit: FromQuery[int] = 20,
    cursor: FromQuery[str | None] = None,
) -> Response[bytes]:
    """What was reported, for moderators: what was last reported or decided comes first."""
    return await judge.page(reports.queue, limit=limit, cursor=cursor, state=in_state, kind=kind)


@get("/admin/reports/{kind:str}/{subject:uuid}", responses=answers(200, CaseAnswer, 401, 403, 404))
async def show(
    kind: FromPath[str],
    subject: FromPath[UUID],
    parts: NamedDependency[Parts],
    judge: NamedDependency[Reader],
) -> Response[bytes]:
    """One thing with what was reported and decided about it, and what it says now."""
    known = _kind(kind)
    row = msgspec.json.decode(
        await judge.one(reports.case, known, subject, missing=NO_CASE), type=dict[str, msgspec.Raw]
    )
    now = await as_it_is(known, subject, parts.commands.needs)
    return json_response(msgspec.json.encode(row | {"now": now}))


def _decision(deed: str, body: type[Struct]) -> post:
    """The route of one thing that those who keep order can do about what was reported, and about what was not."""
    return post(
        f"/admin/reports/{{kind:str}}/{{subject:uuid}}/{deed}",
        dto=StrictBody[body],  # type: ignore[valid-type]  # known when this is read
        return_dto=None,
        status_code=200,
        responses=answers(200, Moved, 401, 403, 404, 409, 415, 422),
    )


@_decision("dismiss", DecisionBody)
async def dismiss(
    kind: FromPath[str],
    subject: FromPath[UUID],
    data: JSONBody[DecisionBody],
    parts: NamedDependency[Parts],
    moderator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Leave it as it is. 409: nobody decides about what is their own."""
    wish = DismissReports(by=moderator.account, kind=_kind(kind), subject=subject, reason=data.reason)
    return Moved((await parts.commands.run(wish, context)).position)


@_decision("hide", DecisionBody)
async def hide(
    kind: FromPath[str],
    subject: FromPath[UUID],
    data: JSONBody[DecisionBody],
    parts: NamedDependency[Parts],
    moderator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Hide it from everybody but its owner, who is told why; reported or not. An account is suspended by that, which
    takes an administrator. 409: nobody decides about what is their own."""
    wish = HideThing(by=moderator.account, kind=_kind(kind), subject=subject, reason=data.reason)
    return Moved((await parts.commands.run(wish, context)).position)


@_decision("restore", DecisionBody)
async def restore(
    kind: FromPath[str],
    subject: FromPath[UUID],
    data: JSONBody[DecisionBody],
    parts: NamedDependency[Parts],
    moderator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Show again what was hidden. What its owner has withdrawn or deleted meanwhile stays so."""
    wish = ShowThing(by=moderator.account, kind=_kind(kind), subject=subject, reason=data.reason)
    return Moved((await parts.commands.run(wish, context)).position)


@_decision("mark", MarkBody)
async def mark(
    kind: FromPath[str],
    subject: FromPath[UUID],
    data: JSONBody[MarkBody],
    parts: NamedDependency[Parts],
    moderator: NamedDependency[Caller],
    context: NamedDependency[Context],
) -> Moved:
    """Say that a workflow or an output is sensitive, or is not. Then it is found by those only who ask for such things,
    and its owner cannot take that back."""
    wish = MarkThing(
        by=moderator.account,
        kind=_kind(kind),
        subject=subject,
        sensitive=data.sensitive,
        reason=data.reason,
    )
    return Moved((await parts.commands.run(wish, context)).position)


def _kind(name: str) -> Kind:
    """Raises NotFound."""
    try:
        return Kind(name)
    except ValueError as error:
        raise NotFound(NO_CASE) from error


ROUTER = Router("/", route_handlers=[make], tags=["community"])
ADMIN = Router("/", route_handlers=[queue, show, dismiss, hide, restore, mark], tags=["admin"])
