"""Places where people talk, as read models keep them: workflows and shown outputs, and who sees them.

A workflow in the trash is out of its owner's sight, too; what was said there is, and comes back with it.
"""

from collections.abc import Iterable
from typing import TypeAlias
from uuid import UUID

from msgspec import Struct

from domain.event import AnyRecorded, Event
from domain.ids import AccountId, WorkflowId
from domain.place import OutputPlace
from domain.run import OutputDeleted, RunDeleted
from domain.shared_output import OutputHidden, OutputPublished, OutputShownAgain, OutputWithdrawn
from domain.workflow import (
    WorkflowCreated,
    WorkflowDeleted,
    WorkflowHidden,
    WorkflowPublished,
    WorkflowRecovered,
    WorkflowShownAgain,
    WorkflowTrashed,
    WorkflowWithdrawn,
)
from projections.rows import Rows

Key: TypeAlias = tuple[UUID, str, int]
KEY = ("stem", "node", "index")
EVENTS: tuple[type[Event], ...] = (
    *(WorkflowCreated, WorkflowPublished, WorkflowWithdrawn, WorkflowHidden, WorkflowShownAgain),
    *(WorkflowTrashed, WorkflowRecovered, WorkflowDeleted),
    *(OutputPublished, OutputWithdrawn, OutputHidden, OutputShownAgain),
    *(OutputDeleted, RunDeleted),
)
_OF_A_RUN = (OutputPublished, OutputWithdrawn, OutputHidden, OutputShownAgain)


class PlaceRow(Struct, gc=False, kw_only=True):
    """`stem`: what it goes with: the workflow itself, or the run of an output. `public`: everybody sees it now;
    `wanted`: as its owner wants it. `away`: in the trash."""

    stem: UUID
    node: str
    index: int
    id: UUID
    owner: AccountId
    public: bool
    wanted: bool
    away: bool


def key_of(workflow: WorkflowId | None, output: OutputPlace | None) -> Key:
    """Of a place that an event names."""
    if output is not None:
        return output.run, output.node, output.index
    assert workflow is not None  # one of them is there
    return workflow, "", 0


def touched(recorded: AnyRecorded) -> Iterable[UUID]:
    """The stem of the place that one of EVENTS changes."""
    event = recorded.event
    if isinstance(event, _OF_A_RUN):
        return (event.run,)
    return (recorded.stream,) if isinstance(event, EVENTS) and not isinstance(event, WorkflowCreated) else ()


def fold_place(recorded: AnyRecorded, places: Rows[PlaceRow], row: type[PlaceRow]) -> None:
    id, event = recorded.stream, recorded.event
    key: Key = (event.run, event.node, event.index) if isinstance(event, _OUTPUTS) else (id, "", 0)
    match event:
        case WorkflowCreated(owner=owner):
            places.put(_place(row, key, id, owner, public=False))
        case OutputPublished(owner=owner, run=run, output=output):
            key = run, output.node, output.index
            if places.get(key) is None:
                places.put(_place(row, key, id, owner, public=True))
            places.change(key, public=True, wanted=True)
        case WorkflowPublished():
            places.change(key, public=True, wanted=True)
        case WorkflowWithdrawn() | OutputWithdrawn():
            places.change(key, public=False, wanted=False)
        case WorkflowHidden() | OutputHidden():
            places.change(key, public=False)
        case WorkflowShownAgain(public=public):
            places.change(key, public=public, wanted=public)
        case OutputShownAgain():
            if place := places.edit(key):
                place.public = place.wanted
        case WorkflowTrashed():
            places.change(key, public=False, away=True)
        case WorkflowRecovered():
            places.change(key, away=False)
        case OutputDeleted(node=node, index=index):
            places.remove((id, node, index))
        case WorkflowDeleted() | RunDeleted():
            places.remove_of(id)
        case _:
            pass


_OUTPUTS = (OutputWithdrawn, OutputHidden, OutputShownAgain)


def _place(row: type[PlaceRow], key: Key, id: UUID, owner: AccountId, *, public: bool) -> PlaceRow:
    stem, node, index = key
    return row(
        stem=stem, node=node, index=index, id=id, owner=owner, public=public, wanted=public, away=False
    )
