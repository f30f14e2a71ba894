"""Making ready what a run executes: the graph stored beside the log, what it needs, and where it came from."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from commands import lora_references
from commands.inputs import UNKNOWN, resolve
from commands.needs import Needs
from commands.ports import ObjectTooLarge
from domain.ids import AccountId, Digest, RunId
from domain.refusals import FieldError, Invalid
from domain.run import InBatch, RunSubmitted
from domain.source import GraphSource, ParametersSource
from domain.workflow import Content, Requirements
from workflows.builder import build
from workflows.graph import ReadGraph, read_graph
from workflows.inputs import LOADERS, named
from workflows.parameters import NOT_POSSIBLE, Parameters, seeded


class Prepared(Struct, frozen=True, kw_only=True):
    """Everything of `run.submitted` but who wants it and when."""

    graph: Content
    requirements: Requirements
    source: ParametersSource | GraphSource
    seed: int | None = None
    inputs: tuple[Digest, ...] = ()

    def submitted(
        self,
        needs: Needs,
        *,
        by: AccountId,
        priority: int,
        batch: InBatch | None = None,
        rerun_of: RunId | None = None,
    ) -> RunSubmitted:
        return RunSubmitted(
            owner=by,
            graph=self.graph,
            requirements=self.requirements,
            priority=priority,
            timeout_s=needs.limits.run_timeout_s,
            source=self.source,
            seed=self.seed,
            batch=batch,
            rerun_of=rerun_of,
            inputs=self.inputs,
        )


async def of_graph(graph: Any, by: AccountId, needs: Needs) -> Prepared:
    """Raises Invalid, ObjectTooLarge."""
    read = read_graph(graph)
    _fits(read, needs)
    with_inputs, inputs = await resolve(graph, by, needs)
    with_loras = await lora_references.resolve(with_inputs, by, needs)
    read = read_graph(with_loras or with_inputs) if inputs or with_loras else read
    stored = Content(await needs.contents.put(read.body), len(read.body))
    return Prepared(graph=stored, requirements=read.requirements, source=GraphSource(), inputs=inputs)


async def of_parameters(wanted: Sequence[Parameters], by: AccountId, needs: Needs) -> list[Prepared]:
    """One for each, in order; seeds are drawn where they have to be. Raises Invalid, ObjectTooLarge."""
    drawn = [seeded(each, needs.new_seed()) for each in wanted]
    built = [await _with_files(each, by, needs) for each in drawn]
    graphs = [read_graph(graph) for graph, _ in built]
    for graph in graphs:
        _fits(graph, needs)
    values = [msgspec.json.encode(each) for each in drawn]
    digests = await needs.contents.put_all([*(graph.body for graph in graphs), *values])
    return [
        Prepared(
            graph=Content(graph_digest, len(graph.body)),
            requirements=graph.requirements,
            source=ParametersSource(Content(values_digest, len(body))),
            seed=each.seed,
            inputs=inputs,
        )
        for each, (_, inputs), graph, body, graph_digest, values_digest in zip(
            drawn, built, graphs, values, digests[: len(graphs)], digests[len(graphs) :], strict=True
        )
    ]


async def _with_files(
    parameters: Parameters, by: AccountId, needs: Needs
) -> tuple[dict[str, Any], tuple[Digest, ...]]:
    """With the account's own pictures and LoRAs in it. Raises Invalid."""
    graph, inputs = await _with_inputs(parameters, by, needs)
    return await lora_references.resolve(graph, by, needs) or graph, inputs


async def _with_inputs(
    parameters: Parameters, by: AccountId, needs: Needs
) -> tuple[dict[str, Any], tuple[Digest, ...]]:
    """Its graph and the inputs that this loads. Raises Invalid: here nobody knows how a backend calls its files."""
    graph = build(parameters)
    if parameters.image is None:
        return graph, ()
    with_inputs, inputs = await resolve(graph, by, needs, at="image")
    loaders = sum(node["class_type"] in LOADERS for node in graph.values())
    if len(named(graph)) < loaders:
        raise Invalid(NOT_POSSIBLE, FieldError("image", UNKNOWN))
    return with_inputs, inputs


def _fits(graph: ReadGraph, needs: Needs) -> None:
    if len(graph.body) > needs.limits.graph_bytes:
        raise ObjectTooLarge(f"The graph has more than {needs.limits.graph_bytes} bytes.")
