"""A graph in ComfyUI's API format: read from JSON, checked for shape, and asked what it needs.

{"3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "a"}}, ...}; an input that is
a list of a node id and a slot number is a link. Source: ComfyUI execution.py, validate_prompt.
"""

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from domain.refusals import FieldError, Invalid
from domain.workflow import Requirements
from workflows import loras
from workflows.model_inputs import Loaders, folder_of

Graph: TypeAlias = dict[str, "Node"]

MAX_NODES = 5_000
MAX_ERRORS = 20
MAX_DEPTH = 64
MAX_CLASS_NAME = 200
REQUIREMENTS_BYTES = 20 * 1024  # of classes, and as many of models: keeps the event under 64 KiB
MAX_MODEL_NAME = 200  # those of uploaded LoRAs have up to 170
LORAS = "loras/"

EDITOR_FORMAT = (
    "This is a workflow in the editor's format. Export it in API format: in ComfyUI choose "
    'Workflow > Export (API), or "Save (API Format)" in older versions.'
)


class Node(Struct, frozen=True):
    class_type: str
    inputs: dict[str, Any]


class ReadGraph(Struct, frozen=True):
    """A graph that is well formed: `body` is its JSON without needless bytes, `nodes` what it says."""

    body: bytes
    nodes: Graph
    requirements: Requirements


def read_graph(graph: Any) -> ReadGraph:
    """Check a decoded JSON value. Raises Invalid with up to 20 errors, each with its path."""
    if not isinstance(graph, dict):
        raise Invalid("The graph must be an object of nodes.", FieldError("graph", "It is not an object."))
    if isinstance(graph.get("nodes"), list):
        raise Invalid(EDITOR_FORMAT, FieldError("graph", EDITOR_FORMAT))
    if not graph:
        raise Invalid("The graph is empty.", FieldError("graph", "It has no nodes."))
    if len(graph) > MAX_NODES:
        raise Invalid(
            "The graph is too large.", FieldError("graph", f"It may have {MAX_NODES} nodes at most.")
        )
    errors = list(_first(_shape_errors(graph)))
    if not errors:
        errors = list(_first(_link_errors(graph)))
    if not errors:
        errors = [*_cycle_error(graph)]
    if errors:
        raise Invalid("The graph cannot be run.", *errors)
    nodes = {id: Node(node["class_type"], node["inputs"]) for id, node in graph.items()}
    return ReadGraph(msgspec.json.encode(graph), nodes, requirements(nodes))


def links(node: Node) -> Iterator[tuple[str, str, int]]:
    """(input name, source node id, source slot) of each input that is a link."""
    for name, value in node.inputs.items():
        if is_link(value):
            yield name, value[0], value[1]


def requirements(nodes: Graph, loaders: Loaders | None = None) -> Requirements:
    """The node classes and model files that a backend must have, in alphabetical order."""
    classes = {node.class_type for node in nodes.values()}
    models = {
        f"{folder}/{value[:MAX_MODEL_NAME]}"
        for node in nodes.values()
        for name, value in node.inputs.items()
        if isinstance(value, str) and value and (folder := folder_of(node.class_type, name, loaders))
    }
    models |= {f"{LORAS}{each.name[:MAX_MODEL_NAME]}" for each in _loras(nodes)}
    return Requirements(_named(classes), _named(models))


def names_loras(requirements: Requirements) -> bool:
    """Whether a graph may name LoRAs, or lead into an account's folder."""
    return any(model.startswith(LORAS) for model in requirements.models)


def _loras(nodes: Graph) -> Iterator[loras.Reference]:
    """What is named by whatever loader, and what leads into an account's folder in another way."""
    graph = {id: {"inputs": node.inputs} for id, node in nodes.items()}
    yield from loras.references(graph)
    for id, name in loras.strangers(graph):
        yield loras.Reference(id, name, "user-")


def _named(names: set[str]) -> tuple[str, ...]:
    """In order, as many as an event has room for; LoRAs before all others, as they decide what is looked into."""
    room, kept = REQUIREMENTS_BYTES, []
    for name in sorted(names, key=lambda name: (not name.startswith(LORAS), name)):
        room -= len(msgspec.json.encode(name)) + 1
        if room < 0:
            break
        kept.append(name)
    return tuple(sorted(kept))


def _fits(number: float) -> bool:
    return -(2**63) <= number < 2**64 if isinstance(number, int) else math.isfinite(number)


def _first(errors: Iterator[FieldError]) -> Iterator[FieldError]:
    for _, error in zip(range(MAX_ERRORS), errors, strict=False):
        yield error


def is_link(value: Any) -> bool:
    """ComfyUI takes any list of two for a link; a literal list is wrapped as {"__value__": [...]}."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def _shape_errors(graph: dict[str, Any]) -> Iterator[FieldError]:
    for id, node in graph.items():
        if not id or len(id) > 100:
            yield FieldError("graph", "A node's id must have 1 to 100 characters.")
        elif not isinstance(node, dict):
            yield FieldError(f"graph.{id}", "A node must be an object.")
        elif not isinstance(node.get("class_type"), str) or not node["class_type"]:
            yield FieldError(f"graph.{id}.class_type", "The name of the node's class is missing.")
        elif len(node["class_type"]) > MAX_CLASS_NAME:
            yield FieldError(f"graph.{id}.class_type", f"It may have {MAX_CLASS_NAME} characters at most.")
        elif not isinstance(node.get("inputs"), dict):
            yield FieldError(f"graph.{id}.inputs", "The node's inputs are missing.")
        else:
            yield from _value_errors(f"graph.{id}.inputs", node["inputs"])
            others = {name: value for name, value in node.items() if name not in ("class_type", "inputs")}
            yield from _value_errors(f"graph.{id}", others)


def _value_errors(path: str, values: dict[str, Any]) -> Iterator[FieldError]:
    for name, value in values.items():
        if (fault := unusable(value)) is not None:
            yield FieldError(f"{path}.{name}", fault)


def unusable(value: Any) -> str | None:
    """What JSON allows and the programs behind us do not follow: deep nesting, numbers beyond 64 bits."""
    level = [value]
    for _ in range(MAX_DEPTH):
        deeper: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                deeper.extend(each.values())
            elif isinstance(each, list):
                deeper.extend(each)
            elif isinstance(each, int | float) and not _fits(each):
                return "The number is too large."
        if not deeper:
            return None
        level = deeper
    return f"It is nested more than {MAX_DEPTH} levels deep."


def _link_errors(graph: dict[str, Any]) -> Iterator[FieldError]:
    for id, node in graph.items():
        for name, value in node["inputs"].items():
            path = f"graph.{id}.inputs.{name}"
            if not isinstance(value, list):
                continue
            if len(value) != 2 or not isinstance(value[0], str):
                yield FieldError(path, "A link must be the id of a node, as text, and the number of a slot.")
            elif not isinstance(value[1], int) or isinstance(value[1], bool) or not 0 <= value[1] < 1000:
                yield FieldError(path, "The second element of a link must be the number of a slot.")
            elif value[0] not in graph:
                yield FieldError(path, f"It links to node {value[0][:100]!r}, which is not in the graph.")


def _cycle_error(graph: dict[str, Any]) -> Iterator[FieldError]:
    """Depth first, without recursion: a chain of thousands of nodes is a graph, not an attack."""
    sources = {
        id: [value[0] for value in node["inputs"].values() if is_link(value)] for id, node in graph.items()
    }
    done: set[str] = set()
    for root, first in sources.items():
        path: dict[str, Iterator[str]] = {root: iter(first)} if root not in done else {}
        while path:
            id, remaining = next(reversed(path.items()))
            source = next(remaining, None)
            if source is None:
                done.add(id)
                path.popitem()
            elif source in path:
                cycle = [*list(path)[list(path).index(source) :], source]
                shown = " <- ".join(cycle if len(cycle) <= 10 else [*cycle[:9], "..."])
                yield FieldError(f"graph.{source}", f"The nodes feed themselves in a circle: {shown}.")
                return
            elif source not in done:
                path[source] = iter(sources[source])
