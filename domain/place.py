"""A place where people talk: a workflow, or an output that is shown. Whoever may look at it may say something there."""

from enum import StrEnum
from typing import Any, TypeAlias, assert_never
from uuid import UUID

from msgspec import Struct

from domain import shared_output
from domain import workflow as workflows
from domain.ids import AccountId, OutputId, RunId, WorkflowId
from domain.run import Run
from domain.shared_output import SharedOutput
from domain.workflow import Workflow


class Kind(StrEnum):
    WORKFLOW = "workflow"
    OUTPUT = "output"


class OutputPlace(Struct, frozen=True):
    """An output, and which file of which run it is: what is said about it goes with that."""

    id: OutputId
    run: RunId
    node: str
    index: int


class Place(Struct, frozen=True):
    """One of them. What is said there is stored with both names, as `told` has them."""

    workflow: WorkflowId | None = None
    output: OutputPlace | None = None

    @property
    def id(self) -> UUID:
        if self.output is not None:
            return self.output.id
        assert self.workflow is not None  # one of them is there
        return self.workflow

    @property
    def told(self) -> dict[str, Any]:
        return {"workflow": self.workflow, "output": self.output}


class ShownOutput(Struct, frozen=True):
    """An output, and the run that still has its file, or not."""

    shared: SharedOutput
    run: Run


Scene: TypeAlias = Workflow | ShownOutput
"""A place as it is at the moment."""


def look(scene: Scene, *, by: AccountId | None) -> None:
    """Raises NotFound where somebody may not look at it."""
    match scene:
        case Workflow():
            workflows.visible(scene, by=by)
        case ShownOutput(shared=shared, run=run):
            shared_output.visible(shared, run, by=by)
        case _:
            assert_never(scene)


def host(scene: Scene) -> AccountId | None:
    """Whose it is."""
    return scene.owner if isinstance(scene, Workflow) else scene.shared.owner
