"""Workflows and versions that begin as others: forks, what comes out of an archive, a version saved once more."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from domain.ids import AccountId, WorkflowId
from domain.refusals import FieldError, Invalid
from domain.workflow import (
    WORKFLOW,
    SavedVersion,
    Workflow,
    WorkflowEvent,
    WorkflowForked,
    WorkflowImported,
    WorkflowVersionSaved,
    create,
    owned,
    runnable,
    save_version,
)


def fork(
    workflow: Workflow,
    *,
    by: AccountId,
    source: Workflow,
    id: WorkflowId,
    number: int | None,
    name: str | None,
) -> list[WorkflowEvent]:
    """Begin a workflow of one's own with a version of another that one may run, and say where it is from."""
    wanted, version = runnable(source, by=by, number=number)
    events = create(
        workflow,
        owner=by,
        name=source.name if name is None else name,
        description=source.description,
        tags=source.tags,
    )
    events.append(WorkflowForked(source=id, number=wanted))
    return events + save_version(
        WORKFLOW.fold(workflow, events),
        by=by,
        graph=version.graph,
        editor_graph=version.editor_graph,
        requirements=version.requirements,
        unconverted=version.unconverted,
    )


def restore(workflow: Workflow, *, by: AccountId, number: int, note: str = "") -> list[WorkflowEvent]:
    """Save an earlier version once more, as the newest. Where it already is the newest's content, nothing changes."""
    owned(workflow, by=by)
    _, version = runnable(workflow, by=by, number=number)
    saved = save_version(
        workflow,
        by=by,
        graph=version.graph,
        editor_graph=version.editor_graph,
        note=note,
        requirements=version.requirements,
        unconverted=version.unconverted,
    )
    return [
        replace(event, restored_from=number) for event in saved if isinstance(event, WorkflowVersionSaved)
    ]


class Brought(Struct, frozen=True):
    """A version as it stands in the archive."""

    saved: SavedVersion
    note: str = ""
    restored_from: int | None = None


def bring_in(
    workflow: Workflow,
    *,
    owner: AccountId,
    name: str,
    description: str,
    tags: tuple[str, ...],
    source: WorkflowId,
    saved_at: tuple[datetime, ...],
    versions: Sequence[Brought],
) -> list[WorkflowEvent]:
    """Begin a workflow of one's own, private, with the versions of another, and say where it is from."""
    events = create(workflow, owner=owner, name=name, description=description, tags=tags)
    events.append(WorkflowImported(source=source, saved_at=saved_at))
    state = WORKFLOW.fold(workflow, events)
    for number, brought in enumerate(versions, start=1):
        added = _added(state, brought, number, owner)
        state = WORKFLOW.fold(state, added)
        events += added
    return events


def _added(state: Workflow, brought: Brought, number: int, by: AccountId) -> list[WorkflowEvent]:
    saved = brought.saved
    added = save_version(
        state,
        by=by,
        graph=saved.graph,
        editor_graph=saved.editor_graph,
        note=brought.note,
        requirements=saved.requirements,
        unconverted=saved.unconverted,
    )
    if not added:
        same = f"Version {number} is the same as the one before it."
        raise Invalid("The archive cannot be imported.", FieldError("file", same))
    origin = brought.restored_from
    if origin is None or not 1 <= origin < number or state.versions[origin - 1] != saved:
        return added  # what it says of its origin is not so
    return [
        replace(event, restored_from=origin) for event in added if isinstance(event, WorkflowVersionSaved)
    ]
