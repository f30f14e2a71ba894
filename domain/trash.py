"""The trash: where a workflow lies until its owner wants it back, or it is removed for good."""

from domain.ids import AccountId
from domain.refusals import NotFound
from domain.thumbnail import forgotten
from domain.workflow import (
    WORKFLOW,
    Workflow,
    WorkflowDeleted,
    WorkflowEvent,
    WorkflowRecovered,
    WorkflowTrashed,
    owned,
    publish,
    withdraw,
)


def throw_away(workflow: Workflow, *, by: AccountId) -> list[WorkflowEvent]:
    """Put it where only its owner finds it. Nobody sees it in between: what was published is withdrawn."""
    if workflow.owner == by and (workflow.trashed or workflow.deleted):
        return []
    owned(workflow, by=by)
    return [*withdraw(workflow, by=by), WorkflowTrashed(published=workflow.public)]


def recover(workflow: Workflow, *, by: AccountId) -> list[WorkflowEvent]:
    """Take it out of the trash as it was; what was published is so again, unless a moderator hides it.

    What is not there stays as it is.
    """
    if workflow.owner != by or workflow.deleted:
        raise NotFound("There is no such workflow.")
    if not workflow.trashed:
        return []
    recovered: list[WorkflowEvent] = [WorkflowRecovered()]
    if not workflow.published_before or workflow.hidden:
        return recovered
    return recovered + publish(WORKFLOW.fold(workflow, recovered), by=by)


def delete(workflow: Workflow, *, by: AccountId) -> list[WorkflowEvent]:
    """Remove it for good, wherever it is. Its history stays in the log; its runs stay runs.

    Whoever is told of what everybody sees is told that it is withdrawn: that it is deleted concerns its owner.
    """
    if workflow.owner != by:
        raise NotFound("There is no such workflow.")
    if workflow.deleted:
        return []
    withdrawn = [] if workflow.trashed else withdraw(workflow, by=by)
    return [*forgotten(workflow), *withdrawn, WorkflowDeleted()]
