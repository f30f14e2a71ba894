"""The picture that a workflow is shown by."""

from domain.ids import AccountId
from domain.outcome import Image
from domain.refusals import Invalid
from domain.workflow import (
    Workflow,
    WorkflowEvent,
    WorkflowThumbnailRemoved,
    WorkflowThumbnailSet,
    owned,
)

NO_PICTURE = "There is no picture in it that could be shown."


def show(workflow: Workflow, *, by: AccountId, thumbnails: tuple[Image, ...]) -> list[WorkflowEvent]:
    """Show it by this picture from now on, in place of the one it had. The same one again changes nothing."""
    owned(workflow, by=by)
    if not thumbnails:
        raise Invalid(NO_PICTURE)
    if thumbnails == workflow.thumbnails:
        return []
    return [*forgotten(workflow), WorkflowThumbnailSet(thumbnails=thumbnails)]


def remove(workflow: Workflow, *, by: AccountId) -> list[WorkflowEvent]:
    """Show it without a picture. Asking twice is not an error."""
    owned(workflow, by=by)
    return forgotten(workflow)


def forgotten(workflow: Workflow) -> list[WorkflowEvent]:
    """What is said of the pictures that it no longer needs, so that they can be removed."""
    if not workflow.thumbnails:
        return []
    return [WorkflowThumbnailRemoved(digests=tuple(each.digest for each in workflow.thumbnails))]
