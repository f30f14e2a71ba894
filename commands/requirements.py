"""What a version needs to be run by somebody, and which backends could: by the rule that runs are let through by."""

import msgspec
from msgspec import Struct

from commands.gate import Fit, judge
from commands.needs import Needs
from commands.pools import chosen
from commands.runs import Files, with_files
from domain import workflow
from domain.ids import AccountId, WorkflowId
from domain.refusals import FieldError, Invalid, NotFound
from domain.workflow import WORKFLOW, Requirements
from workflows.graph import Graph, Node, names_loras
from workflows.inputs import LOADERS
from workflows.model_inputs import Loaders


class Needed(Struct, frozen=True):
    """`nodes`: of the version's graph. `loaders`: what backends tell of their inputs.

    `refusal`: why a run would be refused, with `errors`; empty: it would not.
    """

    nodes: Graph
    loaders: Loaders
    requirements: Requirements
    pool: str
    refusal: str
    errors: tuple[FieldError, ...]
    fits: tuple[Fit, ...]

    @property
    def able(self) -> bool | None:
        """Whether a backend could begin it. None: it would be taken, and wait for one that is not there now."""
        if self.refusal:
            return False
        return True if any(not each.reason for each in self.fits) else None


async def needed(id: WorkflowId, number: int, by: AccountId, pool: str | None, needs: Needs) -> Needed:
    """Of a version that they may run. Raises NotFound, Invalid for a pool that is not theirs."""
    state, _ = await needs.streams.load(WORKFLOW, id)
    _, version = workflow.runnable(state, by=by, number=number)
    waits_in = await chosen(pool, by, needs)
    graph = workflow.executed(number, version)
    body = await needs.contents.get(graph.digest)
    if body is None:
        raise NotFound("The graph of this version is not there.")
    files, refusal, errors = Files(graph), "", tuple[FieldError, ...]()
    if LOADERS.keys() & set(version.requirements.node_classes) or names_loras(version.requirements):
        try:
            files = await with_files(graph, version.requirements, by, needs)
        except Invalid as missing:
            refusal, errors = str(missing), missing.errors
    view = await needs.backends.now()
    judged = await judge(files.graph, by, waits_in, view, needs)
    return Needed(
        nodes=msgspec.json.decode(body, type=dict[str, Node]),
        loaders=judged.loaders,
        requirements=judged.needed,
        pool=waits_in,
        refusal=refusal or judged.refusal,
        errors=errors or judged.errors,
        fits=judged.fits,
    )
