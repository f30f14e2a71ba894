"""Runs without a workflow: of values, of a graph that was sent along, and of what another run executed."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from commands.admitting import admitted
from commands.filling import Asked, Asking, FromTemplate, as_recorded, find
from commands.gate import admit
from commands.inputs import owned_still
from commands.lora_references import with_loras
from commands.needs import Command, Needs
from commands.pools import chosen
from commands.runs import Submitted, answered_run, submitted_run
from commands.sources import Prepared, of_graph, of_values, told_as
from commands.streams import Change, Context
from domain import run
from domain.ids import AccountId, RunId
from domain.refusals import FieldError, Invalid, NotFound
from domain.rendition import Rendition
from domain.run import RUN, RunSubmitted, source_of
from domain.source import GraphSource, ParametersSource, PromptSource, TemplateSource, WorkflowSource
from domain.workflow import Content
from workflows.graph import names_loras, read_graph
from workflows.parameters import NOT_POSSIBLE, RANDOM, Parameters
from workflows.seeds import with_seed as graph_with_seed
from workflows.wanted import Wanted, changed, masked, with_seed

NO_RUN = "There is no such run."
NO_SEED = "The graph of this run has no seed that could be set."
NO_PARAMETERS = "This run was not made from parameters: only its seed, priority and pool can be changed."
VALUES = "values."
"""What the names of a template's values begin with, where they are sent."""


class Generate(Command, frozen=True, kw_only=True):
    """`inpaint`: it has to be the change of a part of a picture."""

    by: AccountId
    asked: Asked
    priority: int = 5
    pool: str | None = None
    inpaint: bool = False
    rendition: Rendition | None = None


class RunGraph(Command, frozen=True, kw_only=True):
    by: AccountId
    graph: Any
    priority: int = 5
    pool: str | None = None
    rendition: Rendition | None = None


class Rerun(Command, frozen=True, kw_only=True):
    """`changes`: parameters, or values of its template, that are to be others. `seed`: -1 draws one.

    None leaves a thing as it was.
    """

    by: AccountId
    run: RunId
    changes: Mapping[str, Any] | None = None
    seed: int | None = None
    priority: int | None = None
    pool: str | None = None
    rendition: Rendition | None = None


async def generate(command: Generate, context: Context, needs: Needs) -> Submitted:
    """Raises NotFound, Invalid, KeyReused."""
    if (known := await answered_run(context, needs)) is not None:
        return known  # before another seed is drawn
    at = VALUES if isinstance(command.asked, FromTemplate) else ""
    found = await Asking(command.by, needs).wanted(command.asked, at)
    if command.inpaint and not masked(found):
        raise Invalid(NOT_POSSIBLE, FieldError("mask", "Both an image and its mask are needed here."))
    (prepared,) = await of_values([found], command.by, needs, lambda _: at)
    return await _submit(prepared, command, command.priority, context, needs)


async def run_graph(command: RunGraph, context: Context, needs: Needs) -> Submitted:
    """Raises Invalid, ObjectTooLarge, KeyReused."""
    if (known := await answered_run(context, needs)) is not None:
        return known
    prepared = await of_graph(command.graph, command.by, needs)
    return await _submit(prepared, command, command.priority, context, needs)


async def rerun(command: Rerun, context: Context, needs: Needs) -> Submitted:
    """Execute once more what a run of one's own has executed. Raises NotFound, Invalid, KeyReused."""
    if (known := await answered_run(context, needs)) is not None:
        return known
    before = await submission(command.run, command.by, needs)
    priority = before.priority if command.priority is None else command.priority
    pool = command.pool or before.pool
    rendition = command.rendition or before.rendition
    match source_of(before):
        case ParametersSource() | TemplateSource() as source if command.changes or command.seed is not None:
            found = _changed(await _recorded(source, command.by, needs), command)
            (prepared,) = await of_values([found], command.by, needs)
            wish = replace(command, pool=pool, rendition=rendition)
            return await _submit(prepared, wish, priority, context, needs, rerun_of=command.run)
        case ParametersSource() | TemplateSource() | GraphSource() | WorkflowSource() | PromptSource():
            await owned_still(before.inputs, command.by, needs)
            if names_loras(before.requirements):
                await with_loras(
                    before.graph, command.by, needs
                )  # they may be gone, or not be shared any more
            if command.changes:
                raise Invalid(NO_PARAMETERS, FieldError("parameters", "There are none to change."))
            again = replace(
                before,
                source=GraphSource() if isinstance(before.source, PromptSource) else before.source,
                priority=priority,
                batch=None,
                rerun_of=command.run,
                rendition=rendition,
                timeout_s=needs.limits.run_timeout_s,
            )
            if command.seed is not None:
                again = await _reseeded(again, command.seed, needs)
    return await submit(again, context, needs, pool=pool)


async def submit(
    submitted: RunSubmitted,
    context: Context,
    needs: Needs,
    *,
    pool: str | None = None,
    id: RunId | None = None,
) -> Submitted:
    """None for `pool`: the one its account has; for `id`: a new one. Raises Invalid, Conflict, KeyReused."""
    submitted = replace(submitted, pool=await chosen(pool, submitted.owner, needs))
    needed = await admit(submitted.graph, submitted.owner, submitted.pool, needs)
    submitted = replace(submitted, requirements=needed)
    id = id or RunId(needs.new_id())
    change = Change(RUN, id, lambda state: run.submit(state, submitted=submitted), new=True)
    granted = await admitted(
        [id],
        submitted.owner,
        submitted.pool,
        context,
        needs,
        lambda: needs.streams.transact(context, change),
    )
    return await submitted_run(id, granted, needs)


async def submission(id: RunId, by: AccountId, needs: Needs) -> RunSubmitted:
    """How a run of one's own was submitted. Raises NotFound."""
    state, _ = await needs.streams.load(RUN, id)
    run.owned(state, by=by)
    first, *_ = await needs.streams.log.read(id)
    if not isinstance(first.event, RunSubmitted):
        raise NotFound(NO_RUN)
    return first.event


async def _submit(
    prepared: Prepared,
    wish: Generate | RunGraph | Rerun,
    priority: int,
    context: Context,
    needs: Needs,
    rerun_of: RunId | None = None,
) -> Submitted:
    with told_as(prepared.fields):
        submitted = prepared.submitted(
            needs, by=wish.by, priority=priority, rendition=wish.rendition, rerun_of=rerun_of
        )
        return await submit(submitted, context, needs, pool=wish.pool)


async def _recorded(source: ParametersSource | TemplateSource, by: AccountId, needs: Needs) -> Wanted:
    """What a run was made from. Raises NotFound where its template is not for the account any more."""
    match source:
        case TemplateSource(template=id):
            await find(id, by, needs)
            return await as_recorded(source, needs)
        case ParametersSource(values=values):
            body = await needs.contents.get(values.digest)
            if body is None:
                raise LookupError(f"The values {values.digest} are not among the contents.")
            return msgspec.json.decode(body, type=Parameters)


def _changed(before: Wanted, command: Rerun) -> Wanted:
    """Raises Invalid."""
    found = changed(before, command.changes) if command.changes else before
    if command.seed is None:
        return found
    with_other = with_seed(found, command.seed)
    if with_other is None:
        raise Invalid("The template of this run has no seed.", FieldError("seed", "There is nothing to set."))
    return with_other


async def _reseeded(again: RunSubmitted, seed: int, needs: Needs) -> RunSubmitted:
    """Its graph with other seeds, still of the source that it was made from."""
    if not RANDOM <= seed < 2**64:
        raise Invalid(NO_SEED, FieldError("seed", "It must be -1, for any, or 0 to 18446744073709551615."))
    drawn = needs.new_seed() if seed == RANDOM else seed
    body = await needs.contents.get(again.graph.digest)
    if body is None:
        raise LookupError(f"The graph {again.graph.digest} is not among the contents.")
    graph = graph_with_seed(msgspec.json.decode(body), drawn)
    if graph is None:
        raise Invalid(NO_SEED, FieldError("seed", "There is nothing to set."))
    read = read_graph(graph)
    stored = Content(await needs.contents.put(read.body), len(read.body))
    return replace(again, graph=stored, seed=drawn)
