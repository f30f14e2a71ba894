"""What a version needs, and who could run it."""

from typing import Annotated
from uuid import UUID

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Meta, Struct

from adapters.http.answers import answers
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from adapters.http.reads import Reader
from adapters.http.versions import NO_VERSION
from commands.gate import Fit
from commands.requirements import needed
from domain.ids import WorkflowId
from domain.refusals import FieldError
from projections import workflow_shelf
from workflows.needed import (
    NeededInput,
    NeededModel,
    NeededSize,
    needed_inputs,
    needed_models,
    needed_sizes,
)

MAX_SHOWN = 200  # of each kind; a graph may have thousands of nodes


class FitAnswer(Struct):
    """A backend that your runs may go to. `missing_...`: null while it has not told what it has."""

    name: str
    able: bool
    reason: Annotated[str, Meta(description="Why it is not given such a run; empty: it could be.")]
    missing_nodes: list[str] | None
    missing_models: list[str] | None


class RequirementsAnswer(Struct):
    """Lists have 200 entries at most."""

    workflow: UUID
    version: int
    node_classes: list[str]
    models: list[NeededModel]
    inputs: list[NeededInput]
    sizes: list[NeededSize]
    pool: Annotated[str, Meta(description="Where your run would wait.")]
    able: Annotated[
        bool | None,
        Meta(
            description="Whether a run of yours could begin. false: it would be refused, for `reason`. "
            "null: it would wait for a backend that is not there, or has not told what it has."
        ),
    ]
    reason: str
    errors: Annotated[list[FieldError], Meta(description="What is in the way, at its node.")]
    backends: list[FitAnswer]


@get(
    "/workflows/{workflow:uuid}/versions/{number:int}/requirements",
    responses=answers(200, RequirementsAnswer, 401, 404, 409, 422),
)
async def show(
    workflow: FromPath[UUID],
    number: FromPath[int],
    parts: NamedDependency[Parts],
    caller: NamedDependency[Caller],
    reader: NamedDependency[Reader],
    pool: Annotated[
        str | None, QueryParameter(description="Where it would wait; left out: as runs do.")
    ] = None,
) -> RequirementsAnswer:
    """What a version needs to be run by you: node classes, models, pictures, sizes; and which backends could run it.

    It tells what submitting a run would be told, and what each backend lacks.
    """
    await reader.one(workflow_shelf.version, workflow, number, missing=NO_VERSION)
    found = await needed(WorkflowId(workflow), number, caller.account, pool, parts.commands.needs)
    return RequirementsAnswer(
        workflow=workflow,
        version=number,
        node_classes=list(found.requirements.node_classes[:MAX_SHOWN]),
        models=list(needed_models(found.nodes, found.loaders)[:MAX_SHOWN]),
        inputs=list(needed_inputs(found.nodes)[:MAX_SHOWN]),
        sizes=list(needed_sizes(found.nodes)[:MAX_SHOWN]),
        pool=found.pool,
        able=found.able,
        reason=found.refusal,
        errors=list(found.errors[:MAX_SHOWN]),
        backends=[_fit(each) for each in found.fits],
    )


def _fit(fit: Fit) -> FitAnswer:
    return FitAnswer(
        name=fit.backend.state.name,
        able=not fit.reason,
        reason=fit.reason,
        missing_nodes=None if fit.lacks is None else list(fit.lacks.node_classes[:MAX_SHOWN]),
        missing_models=None if fit.lacks is None else list(fit.lacks.models[:MAX_SHOWN]),
    )


ROUTER = Router("/", route_handlers=[show], tags=["workflows"])
