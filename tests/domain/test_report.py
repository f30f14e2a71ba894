"""Reports and what becomes of them: told once, decided by somebody else."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from domain import report
from domain.account import Account, Role
from domain.comment import COMMENT, CommentHidden, CommentPosted, CommentShownAgain
from domain.moderation import hide_account, hide_comment, hide_workflow, show_comment, show_workflow
from domain.refusals import Conflict, NotAllowed, NotFound
from domain.report import (
    MAX_OPEN,
    REPORT,
    Case,
    HidingUndone,
    Kind,
    Reason,
    ReportEvent,
    ReportMade,
    ReportsDismissed,
    ReportsUpheld,
)
from domain.trash import recover, throw_away
from domain.workflow import (
    WORKFLOW,
    WorkflowHidden,
    WorkflowPublished,
    WorkflowRecovered,
    WorkflowShownAgain,
    WorkflowTrashed,
    WorkflowWithdrawn,
    publish,
    visible,
    withdraw,
)
from tests.domain.facts import ANN, BOB, WORKFLOW_ID, created, first_version
from tests.domain.scenario import Scenario
from tests.domain.test_properties import decided

case, workflow, comment = Scenario(REPORT), Scenario(WORKFLOW), Scenario(COMMENT)
about: dict[str, Any] = {"kind": Kind.WORKFLOW, "subject": WORKFLOW_ID, "owner": ANN, "by": BOB}
made = ReportMade(**about, reason=Reason.SPAM, text="Look!", said="Portrait")
upheld = ReportsUpheld(**about, reason="Spam.")
dismissed, undone = ReportsDismissed(by=BOB, reason="Fine."), HidingUndone(by=BOB, reason="Fine.")
member, moderator = Account(id=BOB), Account(id=BOB, role=Role.MODERATOR)
BY: dict[str, Any] = {"by": BOB, "reason": "Spam."}
published = created, first_version, WorkflowPublished()
hidden, shown = WorkflowHidden(**BY), WorkflowShownAgain(**BY, public=True)
posted = CommentPosted(owner=ANN, workflow=WORKFLOW_ID, text="Spam")


def test_telling_twice_tells_nothing_new_until_it_is_decided() -> None:
    case.given().when(report.make, made=made).then(made).and_again_nothing()
    case.given(made, dismissed).when(report.make, made=made).then(made)
    case.given(*[made] * MAX_OPEN).when(report.make, made=replace(made, by=WORKFLOW_ID)).then_nothing()


def test_nobody_reports_what_is_their_own_or_says_too_much() -> None:
    case.given().when(report.make, made=replace(made, by=ANN)).then_refused(Conflict)
    for text in ("x" * 2_001, "\x1b"):
        case.given().when(report.make, made=replace(made, text=text)).then_invalid("text")


def test_a_decision_is_taken_once_and_says_why() -> None:
    decide = {"by": BOB, "reason": "Fine."}
    case.given(made).when(report.dismiss, **decide).then(dismissed).and_again_nothing()
    case.given().when(report.dismiss, **decide).then_refused(NotFound)
    case.given(made).when(report.dismiss, by=BOB, reason=" ").then_invalid("reason")
    case.given(made).when(report.uphold, upheld=upheld).then(upheld).and_again_nothing()
    case.given().when(report.uphold, upheld=upheld).then(upheld)
    case.given(upheld).when(report.undo, **decide).then(undone).and_again_nothing()
    case.given(made).when(report.undo, **decide).then_nothing()


def test_a_hidden_workflow_is_its_owners_alone_until_it_is_shown_again() -> None:
    workflow.given(*published).when(hide_workflow, moderator=moderator, **BY).then(hidden).and_again_nothing()
    workflow.given(*published, hidden).when(visible, by=BOB).then_refused(NotFound)
    workflow.given(*published, hidden).when(publish, by=ANN).then_refused(Conflict, "hidden")
    again = workflow.given(*published, hidden).when(show_workflow, moderator=moderator, **BY)
    again.then(shown).and_again_nothing()
    withdrawn = workflow.given(*published, hidden).when(withdraw, by=ANN).then(WorkflowWithdrawn()).events
    left = workflow.given(*published, hidden, *withdrawn).when(show_workflow, moderator=moderator, **BY)
    left.then(WorkflowShownAgain(**BY, public=False))


def test_out_of_the_trash_a_hidden_workflow_comes_back_hidden() -> None:
    thrown = WorkflowWithdrawn(), WorkflowTrashed(published=True)
    workflow.given(*published, hidden).when(throw_away, by=ANN).then(*thrown).and_again_nothing()
    workflow.given(*published, hidden, *thrown).when(recover, by=ANN).then(WorkflowRecovered())
    back = workflow.given(*published, hidden, *thrown, WorkflowRecovered())
    back.when(visible, by=BOB).then_refused(NotFound)
    back.when(show_workflow, moderator=moderator, **BY).then(shown)


def test_only_moderators_decide_and_never_about_their_own() -> None:
    workflow.given(*published).when(hide_workflow, moderator=member, **BY).then_refused(NotAllowed)
    suspended = replace(moderator, suspended="Rude.")
    workflow.given(*published).when(hide_workflow, moderator=suspended, **BY).then_refused(NotAllowed)
    own = replace(moderator, id=ANN)
    workflow.given(*published).when(hide_workflow, moderator=own, **BY).then_refused(Conflict)
    workflow.given(*published, hidden).when(show_workflow, moderator=own, **BY).then_refused(Conflict)
    workflow.given(created).when(hide_workflow, moderator=moderator, **BY).then_refused(NotFound)
    state = Account(id=ANN)
    Scenario(REPORT, state).when(hide_account, moderator=moderator, **BY).then_refused(NotAllowed)


def test_a_comment_is_hidden_and_shown_again() -> None:
    gone = CommentHidden(workflow=WORKFLOW_ID, **BY)
    back = CommentShownAgain(workflow=WORKFLOW_ID, **BY)
    comment.given(posted).when(hide_comment, moderator=moderator, **BY).then(gone).and_again_nothing()
    comment.given(posted, gone).when(show_comment, moderator=moderator, **BY).then(back).and_again_nothing()
    comment.given().when(hide_comment, moderator=moderator, **BY).then_refused(NotFound)


@given(
    some.lists(
        some.sampled_from(
            [
                (report.make, {"made": made}),
                (report.make, {"made": replace(made, by=WORKFLOW_ID)}),
                (report.dismiss, {"by": BOB, "reason": "Fine."}),
                (report.uphold, {"upheld": upheld}),
            ]
        )
    )
)
def test_whatever_is_wished_twice_adds_nothing(wishes: list[tuple[Any, dict[str, Any]]]) -> None:
    state, history = Case(), list[ReportEvent]()
    for decide, wish in wishes:
        state, events = decided(REPORT, state, decide, wish)
        assert decided(REPORT, state, decide, wish)[1] == []
        history += events
    assert REPORT.fold(REPORT.initial, history) == state
    assert len(set(state.open)) == len(state.open)
