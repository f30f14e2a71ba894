"""Making ready what a run executes: the graph stored beside the log, what it needs, and where it came from."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec import Struct

from commands import lora_references
from commands.inputs import UNKNOWN, resolve
from commands.needs import Needs
from commands.ports import ObjectTooLarge
from domain.ids import AccountId, Digest, RunId
from domain.refusals import FieldError, Invalid
from domain.rendition import Rendition
from domain.run import InBatch, RunSubmitted
from domain.source import GraphSource, ParametersSource, PromptSource, TemplateSource
from domain.workflow import Content, Requirements
from workflows.graph import ReadGraph, read_graph
from workflows.inputs import LOADERS, named
from workflows.parameters import NOT_POSSIBLE, Parameters
from workflows.registry import written
from workflows.wanted import Built, OfTemplate, Wanted, built, document, seed_of, seeded, words


class Prepared(Struct, frozen=True, kw_only=True):
    """Everything of `run.submitted` but who wants it and when."""

    graph: Content
    requirements: Requirements
    source: ParametersSource | TemplateSource | GraphSource | PromptSource
    seed: int | None = None
    inputs: tuple[Digest, ...] = ()
    words: str = ""
    fields: Mapping[str, str] = {}
    """How whoever asked calls what stands at a path of the graph, where they do not know the graph."""

    def submitted(
        self,
        needs: Needs,
        *,
        by: AccountId,
        priority: int,
        rendition: Rendition | None = None,
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
            words=self.words,
            rendition=rendition,
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


async def of_values(
    wanted: Sequence[Wanted], by: AccountId, needs: Needs, at: Callable[[int], str] = lambda place: ""
) -> list[Prepared]:
    """One for each, in order; seeds are drawn where they have to be. Raises Invalid, ObjectTooLarge.

    `at`: what the names of the values of each begin with, as whoever asked sees them.
    """
    made = [
        await _made(seeded(each, needs.new_seed), by, needs, at(place)) for place, each in enumerate(wanted)
    ]
    for each in made:
        _fits(each.graph, needs)
    stored = await _stored([body for each in made for body in each.bodies], needs)
    return [
        Prepared(
            graph=stored[each.graph.body],
            requirements=each.graph.requirements,
            source=_source(each, stored),
            seed=seed_of(each.wanted),
            inputs=each.inputs,
            words=words(each.wanted),
            fields=each.fields,
        )
        for each in made
    ]


@contextmanager
def told_as(fields: Mapping[str, str]) -> Iterator[None]:
    """What is refused at a path of the graph is told of the value that stands there."""
    try:
        yield
    except Invalid as refusal:
        errors = (FieldError(fields.get(each.field, each.field), each.reason) for each in refusal.errors)
        raise Invalid(str(refusal), *errors) from refusal


class _Made(Struct, frozen=True):
    """With the account's own files in its graph."""

    wanted: Wanted
    graph: ReadGraph
    inputs: tuple[Digest, ...]
    fields: Mapping[str, str]

    @property
    def bodies(self) -> tuple[bytes, ...]:
        """Its graph, its values, and the template where it is of one."""
        of_template = (written(self.wanted.template),) if isinstance(self.wanted, OfTemplate) else ()
        return (self.graph.body, document(self.wanted), *of_template)


async def _made(wanted: Wanted, by: AccountId, needs: Needs, at: str) -> _Made:
    """Raises Invalid."""
    found = built(wanted)
    fields = {path: f"{at}{name}" for path, name in found.fields.items()}
    with told_as(fields):
        graph, inputs = await _with_inputs(wanted, found, by, needs, at)
        graph = await lora_references.resolve(graph, by, needs) or graph
        return _Made(wanted, read_graph(graph), inputs, fields)


async def _with_inputs(
    wanted: Wanted, found: Built, by: AccountId, needs: Needs, at: str
) -> tuple[dict[str, Any], tuple[Digest, ...]]:
    """The graph with the inputs that it loads, and those. Raises Invalid."""
    if not isinstance(wanted, Parameters):
        return await resolve(found.graph, by, needs)
    if wanted.image is None:
        return found.graph, ()
    with_inputs, inputs = await resolve(found.graph, by, needs, at=f"{at}image")
    loaders = sum(node["class_type"] in LOADERS for node in found.graph.values())
    if len(named(found.graph)) < loaders:  # here nobody knows how a backend calls its files
        raise Invalid(NOT_POSSIBLE, FieldError(f"{at}image", UNKNOWN))
    return with_inputs, inputs


async def _stored(bodies: Sequence[bytes], needs: Needs) -> dict[bytes, Content]:
    """Each once: the runs of a batch have much in common."""
    different = list(dict.fromkeys(bodies))
    digests = await needs.contents.put_all(different)
    return {body: Content(digest, len(body)) for body, digest in zip(different, digests, strict=True)}


def _source(made: _Made, stored: Mapping[bytes, Content]) -> ParametersSource | TemplateSource:
    values = stored[document(made.wanted)]
    match made.wanted:
        case Parameters():
            return ParametersSource(values)
        case OfTemplate(id=id, template=template):
            return TemplateSource(id, stored[written(template)], values)


def _fits(graph: ReadGraph, needs: Needs) -> None:
    if len(graph.body) > needs.limits.graph_bytes:
        raise ObjectTooLarge(f"The graph has more than {needs.limits.graph_bytes} bytes.")
