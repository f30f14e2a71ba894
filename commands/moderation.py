"""Reporting things, and what those who keep order decide about them."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from msgspec import Struct

from commands.attempts import attempt
from commands.needs import Command, Needs
from commands.places import scene, sources
from commands.streams import Accepted, Change, Context, Source
from domain import moderation, report, shared_output
from domain import workflow as workflows
from domain.account import ACCOUNT, Account
from domain.comment import COMMENT, NO_COMMENT, Comment
from domain.event import AnyDecider, Event
from domain.ids import AccountId, report_id
from domain.place import look
from domain.refusals import FieldError, Invalid, NotFound
from domain.report import REPORT, Case, Kind, Reason, ReportEvent, ReportMade, ReportsUpheld
from domain.run import RUN, Run
from domain.shared_output import NO_OUTPUT, SHARED_OUTPUT, SharedOutput
from domain.workflow import WORKFLOW, Workflow

REPORTS = 20  # of one account, within the window of attempts


class ReportThing(Command, frozen=True, kw_only=True):
    by: AccountId
    kind: Kind
    subject: UUID
    reason: Reason
    text: str = ""


class DismissReports(Command, frozen=True, kw_only=True):
    by: AccountId
    kind: Kind
    subject: UUID
    reason: str


class HideThing(Command, frozen=True, kw_only=True):
    by: AccountId
    kind: Kind
    subject: UUID
    reason: str


class ShowThing(Command, frozen=True, kw_only=True):
    by: AccountId
    kind: Kind
    subject: UUID
    reason: str


class MarkThing(Command, frozen=True, kw_only=True):
    """As something that not everybody wants to see by chance: a workflow or an output."""

    by: AccountId
    kind: Kind
    subject: UUID
    sensitive: bool
    reason: str


class Subject(Struct, frozen=True):
    """What can be reported. `seen` raises NotFound where somebody does not see it; `place`: what it is seen with."""

    decider: AnyDecider
    owner: Callable[[Any], AccountId | None]
    said: Callable[[Any], str]
    seen: Callable[..., None]
    hide: Callable[..., Sequence[Event]]
    show: Callable[..., Sequence[Event]]
    place: Callable[[Any], tuple[Source[Any, Any], ...]] = lambda state: ()


def _account_seen(account: Account, *, by: AccountId) -> None:
    if account.id is None or account.erased:
        raise NotFound("There is no such account.")


def _comment_seen(comment: Comment, *known: Any, by: AccountId) -> None:
    if comment.deleted or comment.hidden or not known:
        raise NotFound(NO_COMMENT)
    look(scene(*known), by=by)


def _place(comment: Comment) -> tuple[Source[Any, Any], ...]:
    return () if comment.place is None else sources(comment.place)


def _output_seen(output: SharedOutput, *run: Run, by: AccountId) -> None:
    if not run or output.hidden:
        raise NotFound(NO_OUTPUT)
    shared_output.visible(output, run[0], by=by)


def _run(output: SharedOutput) -> tuple[Source[Any, Any], ...]:
    return () if output.shown is None else (Source(RUN, output.shown.run),)


def _told(output: SharedOutput) -> str:
    return "" if output.shown is None else f"{output.shown.name}\n{output.shown.description}".strip()


SUBJECTS = {
    Kind.WORKFLOW: Subject(
        WORKFLOW,
        lambda workflow: workflow.owner,
        lambda workflow: f"{workflow.name}\n{workflow.description}".strip(),
        workflows.visible,
        moderation.hide_workflow,
        moderation.show_workflow,
    ),
    Kind.OUTPUT: Subject(
        SHARED_OUTPUT,
        lambda output: output.owner,
        _told,
        _output_seen,
        moderation.hide_output,
        moderation.show_output,
        _run,
    ),
    Kind.COMMENT: Subject(
        COMMENT,
        lambda comment: comment.owner,
        lambda comment: comment.text,
        _comment_seen,
        moderation.hide_comment,
        moderation.show_comment,
        _place,
    ),
    Kind.ACCOUNT: Subject(
        ACCOUNT,
        lambda account: account.id,
        lambda account: "",
        _account_seen,
        moderation.hide_account,
        moderation.show_account,
    ),
}


MARKS: dict[Kind, Callable[..., Sequence[Event]]] = {
    Kind.WORKFLOW: moderation.mark_workflow,
    Kind.OUTPUT: moderation.mark_output,
}


async def report_thing(command: ReportThing, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Conflict, Invalid, TooMany."""
    if (earlier := await needs.streams.answered(context)) is not None:
        return earlier
    await attempt("reports", str(command.by), "", needs, most=REPORTS)
    subject, by = SUBJECTS[command.kind], command.by
    state, _ = await needs.streams.load(subject.decider, command.subject)

    def decide(case: Case, state: Any, *place: Any) -> list[ReportEvent]:
        subject.seen(state, *place, by=by)
        owner = subject.owner(state)
        assert owner is not None  # it is seen
        return report.make(
            case,
            made=ReportMade(
                kind=command.kind,
                subject=command.subject,
                owner=owner,
                by=by,
                reason=command.reason,
                text=command.text,
                said=subject.said(state),
            ),
        )

    given = (Source(subject.decider, command.subject), *subject.place(state))
    return await needs.streams.transact(context, Change(REPORT, _case(command), decide, given=given))


async def dismiss_reports(command: DismissReports, context: Context, needs: Needs) -> Accepted:
    """Raises NotAllowed, NotFound, Conflict, Invalid."""
    subject, by = SUBJECTS[command.kind], command.by

    def decide(case: Case, moderator: Account, state: Any) -> list[ReportEvent]:
        moderation.check_moderator(moderator, owner=subject.owner(state))
        return report.dismiss(case, by=by, reason=command.reason)

    given = (Source(ACCOUNT, by), Source(subject.decider, command.subject))
    return await needs.streams.transact(context, Change(REPORT, _case(command), decide, given=given))


async def hide_thing(command: HideThing, context: Context, needs: Needs) -> Accepted:
    """What was reported about it is decided by that. Raises NotAllowed, NotFound, Conflict, Invalid."""
    subject, by, reason = SUBJECTS[command.kind], command.by, command.reason

    def hide(state: Any, moderator: Account) -> Sequence[Event]:
        return subject.hide(state, moderator, by=by, reason=reason)

    def uphold(case: Case, state: Any) -> list[ReportEvent]:
        upheld = ReportsUpheld(
            kind=command.kind,
            subject=command.subject,
            owner=subject.owner(state) or by,
            by=by,
            reason=reason,
            said=subject.said(state),
        )
        return report.uphold(case, upheld=upheld)

    return await needs.streams.transact(
        context,
        Change(subject.decider, command.subject, hide, given=(Source(ACCOUNT, by),)),
        Change(REPORT, _case(command), uphold, given=(Source(subject.decider, command.subject),)),
    )


async def show_thing(command: ShowThing, context: Context, needs: Needs) -> Accepted:
    """Raises NotAllowed, NotFound, Conflict, Invalid."""
    subject, by, reason = SUBJECTS[command.kind], command.by, command.reason

    def show(state: Any, moderator: Account) -> Sequence[Event]:
        return subject.show(state, moderator, by=by, reason=reason)

    def undo(case: Case) -> list[ReportEvent]:
        return report.undo(case, by=by, reason=reason)

    return await needs.streams.transact(
        context,
        Change(subject.decider, command.subject, show, given=(Source(ACCOUNT, by),)),
        Change(REPORT, _case(command), undo),
    )


async def mark_thing(command: MarkThing, context: Context, needs: Needs) -> Accepted:
    """Raises NotAllowed, NotFound, Conflict, Invalid."""
    mark = MARKS.get(command.kind)
    if mark is None:
        raise Invalid("This is never sensitive.", FieldError("kind", "A workflow or an output."))

    def decide(state: Any, moderator: Account) -> Sequence[Event]:
        return mark(state, moderator, by=command.by, sensitive=command.sensitive, reason=command.reason)

    decider, given = SUBJECTS[command.kind].decider, (Source(ACCOUNT, command.by),)
    return await needs.streams.transact(context, Change(decider, command.subject, decide, given=given))


def _case(command: ReportThing | DismissReports | HideThing | ShowThing) -> UUID:
    return report_id(command.kind, command.subject)


async def as_it_is(kind: Kind, subject: UUID, needs: Needs) -> dict[str, Any]:
    """What a moderator is shown of a thing, whoever else sees it."""
    state, _ = await needs.streams.load(SUBJECTS[kind].decider, subject)
    told: tuple[str, ...]
    match state:
        case SharedOutput(shown=shown):
            return {
                "public": state.public,
                "hidden": state.hidden,
                "sensitive": state.sensitive,
                "run": shown and shown.run,
                "output": shown and shown.output,
                "name": shown and shown.name,
                "description": shown and shown.description,
            }
        case Workflow():
            told = ("name", "description", "tags", "public", "hidden", "sensitive", "deleted")
        case Comment(place=place):
            where = {
                "workflow": place and place.workflow,
                "output": place and place.output and place.output.id,
            }
            return where | {name: getattr(state, name) for name in ("text", "hidden", "deleted")}
        case _:
            told = ("role", "suspended", "erased")
    return {name: getattr(state, name) for name in told}
