"""Runs without a workflow: of typed parameters, of a graph that was sent along, and of what another run executed."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from commands.admitting import Admitted, admitted
from commands.gate import admit
from commands.inputs import owned_still
from commands.lora_references import with_loras
from commands.needs import Command, Needs
from commands.runs import Submitted, submitted_run
from commands.sources import of_graph, of_parameters
from commands.streams import Change, Context
from domain import run
from domain.ids import AccountId, RunId
from domain.refusals import FieldError, Invalid, NotFound
from domain.run import RUN, RunSubmitted, source_of
from domain.source import GraphSource, ParametersSource, WorkflowSource
from domain.workflow import Content
from workflows.graph import names_loras, read_graph
from workflows.parameters import RANDOM, Parameters, changed, check
from workflows.seeds import with_seed

NO_RUN = "There is no such run."
NO_SEED = "The graph of this run has no seed that could be set."
NO_PARAMETERS = "This run was not made from parameters: only its seed and priority can be changed."


class Generate(Command, frozen=True, kw_only=True):
    by: AccountId
    parameters: Parameters
    priority: int = 5


class RunGraph(Command, frozen=True, kw_only=True):
    by: AccountId
    graph: Any
    priority: int = 5


class Rerun(Command, frozen=True, kw_only=True):
    """`changes`: parameters that are to be others. `seed`: -1 draws one. None leaves a thing as it was."""

    by: AccountId
    run: RunId
    changes: Mapping[str, Any] | None = None
    seed: int | None = None
    priority: int | None = None


async def generate(command: Generate, context: Context, needs: Needs) -> Submitted:
    """Raises Invalid, KeyReused."""
    if (known := await _known(context, needs)) is not None:
        return known  # before another seed is drawn
    check(command.parameters)
    (prepared,) = await of_parameters([command.parameters], command.by, needs)
    return await submit(prepared.submitted(needs, by=command.by, priority=command.priority), context, needs)


async def run_graph(command: RunGraph, context: Context, needs: Needs) -> Submitted:
    """Raises Invalid, ObjectTooLarge, KeyReused."""
    prepared = await of_graph(command.graph, command.by, needs)
    return await submit(prepared.submitted(needs, by=command.by, priority=command.priority), context, needs)


async def rerun(command: Rerun, context: Context, needs: Needs) -> Submitted:
    """Execute once more what a run of one's own has executed. Raises NotFound, Invalid, KeyReused."""
    if (known := await _known(context, needs)) is not None:
        return known
    before = await submission(command.run, command.by, needs)
    priority = before.priority if command.priority is None else command.priority
    match source_of(before):
        case ParametersSource(values=values) if command.changes or command.seed is not None:
            seed = {} if command.seed is None else {"seed": command.seed}
            parameters = changed(await parameters_of(values, needs), dict(command.changes or {}) | seed)
            (prepared,) = await of_parameters([parameters], command.by, needs)
            again = prepared.submitted(needs, by=command.by, priority=priority, rerun_of=command.run)
        case ParametersSource() | GraphSource() | WorkflowSource():
            await owned_still(before.inputs, command.by, needs)
            if names_loras(before.requirements):
                await with_loras(
                    before.graph, command.by, needs
                )  # they may be gone, or not be shared any more
            if command.changes:
                raise Invalid(NO_PARAMETERS, FieldError("parameters", "There are none to change."))
            again = replace(
                before,
                priority=priority,
                batch=None,
                rerun_of=command.run,
                timeout_s=needs.limits.run_timeout_s,
            )
            if command.seed is not None:
                again = await _reseeded(again, command.seed, needs)
    return await submit(again, context, needs)


async def submit(submitted: RunSubmitted, context: Context, needs: Needs) -> Submitted:
    """Raises Invalid, KeyReused."""
    await admit(submitted.graph, submitted.requirements, submitted.owner, needs)
    id = RunId(needs.new_id())
    change = Change(RUN, id, lambda state: run.submit(state, submitted=submitted), new=True)
    by = submitted.owner
    granted = await admitted([id], by, context, needs, lambda: needs.streams.transact(context, change))
    return await submitted_run(id, granted, needs)


async def submission(id: RunId, by: AccountId, needs: Needs) -> RunSubmitted:
    """How a run of one's own was submitted. Raises NotFound."""
    state, _ = await needs.streams.load(RUN, id)
    run.owned(state, by=by)
    first, *_ = await needs.streams.log.read(id)
    if not isinstance(first.event, RunSubmitted):
        raise NotFound(NO_RUN)
    return first.event


async def parameters_of(values: Content, needs: Needs) -> Parameters:
    body = await needs.contents.get(values.digest)
    if body is None:
        raise LookupError(f"The values {values.digest} are not among the contents.")
    return msgspec.json.decode(body, type=Parameters)


async def _reseeded(again: RunSubmitted, seed: int, needs: Needs) -> RunSubmitted:
    """Its graph with other seeds, still of the source that it was made from."""
    if not RANDOM <= seed < 2**64:
        raise Invalid(NO_SEED, FieldError("seed", "It must be -1, for any, or 0 to 18446744073709551615."))
    drawn = needs.new_seed() if seed == RANDOM else seed
    body = await needs.contents.get(again.graph.digest)
    if body is None:
        raise LookupError(f"The graph {again.graph.digest} is not among the contents.")
    graph = with_seed(msgspec.json.decode(body), drawn)
    if graph is None:
        raise Invalid(NO_SEED, FieldError("seed", "There is nothing to set."))
    read = read_graph(graph)
    stored = Content(await needs.contents.put(read.body), len(read.body))
    return replace(again, graph=stored, seed=drawn)


async def _known(context: Context, needs: Needs) -> Submitted | None:
    answered = await needs.streams.answered(context)
    return None if answered is None else await submitted_run(RunId(needs.new_id()), Admitted(answered), needs)
