"""Keeping order: things are hidden from everybody but their owners, and shown again. Nobody decides about their own."""

from domain import standing
from domain import workflow as workflows
from domain.account import Account, AccountEvent
from domain.comment import NO_COMMENT, Comment, CommentEvent, CommentHidden, CommentShownAgain
from domain.ids import AccountId
from domain.reasons import stated
from domain.refusals import Conflict, NotAllowed, NotFound
from domain.shared_output import (
    NO_OUTPUT,
    OutputHidden,
    OutputMarked,
    OutputShownAgain,
    SharedOutput,
    SharedOutputEvent,
    place,
)
from domain.workflow import Workflow, WorkflowEvent, WorkflowHidden, WorkflowMarked, WorkflowShownAgain


def check_moderator(moderator: Account, *, owner: AccountId | None) -> None:
    """Raises NotAllowed, Conflict."""
    if not moderator.moderates:
        raise NotAllowed("Only a moderator may do this.")
    if moderator.id == owner:
        raise Conflict("Nobody decides about what is their own.")


def hide_workflow(
    workflow: Workflow, moderator: Account, *, by: AccountId, reason: str
) -> list[WorkflowEvent]:
    """What nobody else sees is nobody else's business."""
    because = stated(reason)
    check_moderator(moderator, owner=workflow.owner)
    if workflow.owner is None or workflow.deleted or not (workflow.public or workflow.hidden):
        raise NotFound("There is no such workflow.")
    return [] if workflow.hidden else [WorkflowHidden(by=by, reason=because)]


def show_workflow(
    workflow: Workflow, moderator: Account, *, by: AccountId, reason: str
) -> list[WorkflowEvent]:
    because = stated(reason)
    check_moderator(moderator, owner=workflow.owner)
    if workflow.owner is None or workflow.deleted or not (workflow.public or workflow.hidden):
        raise NotFound("There is no such workflow.")
    shown = WorkflowShownAgain(by=by, reason=because, public=workflow.public)
    return [shown] if workflow.hidden else []


def hide_comment(comment: Comment, moderator: Account, *, by: AccountId, reason: str) -> list[CommentEvent]:
    """Its place stays, for the answers to it."""
    because = stated(reason)
    check_moderator(moderator, owner=comment.owner)
    if comment.place is None or comment.deleted:
        raise NotFound(NO_COMMENT)
    return [] if comment.hidden else [CommentHidden(**comment.place.told, by=by, reason=because)]


def show_comment(comment: Comment, moderator: Account, *, by: AccountId, reason: str) -> list[CommentEvent]:
    because = stated(reason)
    check_moderator(moderator, owner=comment.owner)
    if comment.place is None or comment.deleted:
        raise NotFound(NO_COMMENT)
    return [CommentShownAgain(**comment.place.told, by=by, reason=because)] if comment.hidden else []


def hide_output(
    shared: SharedOutput, moderator: Account, *, by: AccountId, reason: str
) -> list[SharedOutputEvent]:
    because = stated(reason)
    check_moderator(moderator, owner=shared.owner)
    if shared.shown is None or not (shared.public or shared.hidden):
        raise NotFound(NO_OUTPUT)
    return [] if shared.hidden else [OutputHidden(**place(shared.shown), by=by, reason=because)]


def show_output(
    shared: SharedOutput, moderator: Account, *, by: AccountId, reason: str
) -> list[SharedOutputEvent]:
    because = stated(reason)
    check_moderator(moderator, owner=shared.owner)
    if shared.shown is None or not (shared.public or shared.hidden):
        raise NotFound(NO_OUTPUT)
    return [OutputShownAgain(**place(shared.shown), by=by, reason=because)] if shared.hidden else []


def mark_workflow(
    workflow: Workflow, moderator: Account, *, by: AccountId, sensitive: bool, reason: str
) -> list[WorkflowEvent]:
    """A moderator's word counts more than its owner's, until a moderator takes it back."""
    because = stated(reason)
    check_moderator(moderator, owner=workflow.owner)
    if workflow.owner is None or workflow.deleted or not (workflow.public or workflow.hidden):
        raise NotFound("There is no such workflow.")
    if (workflow.sensitive, workflow.judged) == (sensitive, sensitive):
        return []
    return [WorkflowMarked(by=by, sensitive=sensitive, judged=sensitive, reason=because)]


def mark_own_workflow(workflow: Workflow, *, by: AccountId, sensitive: bool) -> list[WorkflowEvent]:
    workflows.owned(workflow, by=by)
    if workflow.sensitive == sensitive:
        return []
    if workflow.judged:
        raise Conflict("A moderator has marked it as sensitive.")
    return [WorkflowMarked(by=by, sensitive=sensitive)]


def mark_output(
    shared: SharedOutput, moderator: Account, *, by: AccountId, sensitive: bool, reason: str
) -> list[SharedOutputEvent]:
    because = stated(reason)
    check_moderator(moderator, owner=shared.owner)
    if shared.shown is None or not (shared.public or shared.hidden):
        raise NotFound(NO_OUTPUT)
    if (shared.sensitive, shared.judged) == (sensitive, sensitive):
        return []
    marked = OutputMarked(**place(shared.shown), by=by, sensitive=sensitive, judged=sensitive, reason=because)
    return [marked]


def hide_account(account: Account, moderator: Account, *, by: AccountId, reason: str) -> list[AccountEvent]:
    """Somebody is hidden by keeping them out, which only an administrator does."""
    check_moderator(moderator, owner=account.id)
    standing.check_giver(moderator)
    return standing.suspend(account, reason=reason)


def show_account(account: Account, moderator: Account, *, by: AccountId, reason: str) -> list[AccountEvent]:
    check_moderator(moderator, owner=account.id)
    standing.check_giver(moderator)
    return standing.reinstate(account, reason=reason)
