"""Making ready what a run executes: the graph stored beside the log, what it needs, and where it came from."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from commands.needs import Needs
from commands.ports import ObjectTooLarge
from domain.ids import AccountId, RunId
from domain.run import InBatch, RunSubmitted
from domain.source import GraphSource, ParametersSource
from domain.workflow import Content, Requirements
from workflows.builder import build
from workflows.graph import ReadGraph, read_graph
from workflows.parameters import Parameters, seeded


class Prepared(Struct, frozen=True, kw_only=True):
    """Everything of `run.submitted` but who wants it and when."""

    graph: Content
    requirements: Requirements
    source: ParametersSource | GraphSource
    seed: int | None = None

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
        )


async def of_graph(graph: Any, needs: Needs) -> Prepared:
    """Raises Invalid, ObjectTooLarge."""
    read = read_graph(graph)
    _fits(read, needs)
    stored = Content(await needs.contents.put(read.body), len(read.body))
    return Prepared(graph=stored, requirements=read.requirements, source=GraphSource())


async def of_parameters(wanted: Sequence[Parameters], needs: Needs) -> list[Prepared]:
    """One for each, in order; seeds are drawn where they have to be. Raises Invalid, ObjectTooLarge."""
    drawn = [seeded(each, needs.new_seed()) for each in wanted]
    graphs = [read_graph(build(each)) for each in drawn]
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
        )
        for each, graph, body, graph_digest, values_digest in zip(
            drawn, graphs, values, digests[: len(graphs)], digests[len(graphs) :], strict=True
        )
    ]


def _fits(graph: ReadGraph, needs: Needs) -> None:
    if len(graph.body) > needs.limits.graph_bytes:
        raise ObjectTooLarge(f"The graph has more than {needs.limits.graph_bytes} bytes.")
