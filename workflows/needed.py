"""What a graph asks of whoever runs it, and where in it: model files, pictures that it loads, sizes that it makes."""

from collections.abc import Iterator

from msgspec import Struct

from workflows.gate import BATCHES, SIZES
from workflows.graph import Graph
from workflows.inputs import PICTURE_LOADERS
from workflows.inventory import uploaded
from workflows.model_inputs import Loaders
from workflows.models import named_models


class NeededModel(Struct, frozen=True):
    """`type`: the models folder. `uploaded`: it is an account's own, and brought to backends that take such files."""

    type: str
    name: str
    uploaded: bool
    nodes: tuple[str, ...]


class NeededInput(Struct, frozen=True):
    """A picture, as the graph names it: the id or digest of an input, or how a backend calls a file of its own."""

    node: str
    node_class: str
    name: str


class NeededSize(Struct, frozen=True):
    """Null: another node decides it. Sizes in pixels."""

    node: str
    node_class: str
    width: int | None
    height: int | None
    batch_size: int | None


def needed_models(nodes: Graph, loaders: Loaders | None = None) -> tuple[NeededModel, ...]:
    """In alphabetical order."""
    found: dict[tuple[str, str], list[str]] = {}
    for each in named_models(nodes, loaders):
        if each.folder and each.name:
            found.setdefault((each.folder, each.name), []).append(each.node)
    return tuple(
        NeededModel(type, name, uploaded(f"{type}/{name}"), tuple(dict.fromkeys(where)))
        for (type, name), where in sorted(found.items())
    )


def needed_inputs(nodes: Graph) -> tuple[NeededInput, ...]:
    """In the order of the graph."""
    return tuple(
        NeededInput(id, node.class_type, name)
        for id, node in nodes.items()
        if (input := PICTURE_LOADERS.get(node.class_type)) and isinstance(name := node.inputs.get(input), str)
    )


def needed_sizes(nodes: Graph) -> tuple[NeededSize, ...]:
    """Of the nodes that are told one, in the order of the graph."""
    return tuple(_sizes(nodes))


def _sizes(nodes: Graph) -> Iterator[NeededSize]:
    for id, node in nodes.items():
        width, height = (_number(node.inputs.get(name)) for name in SIZES)
        batch = next((number for name in BATCHES if (number := _number(node.inputs.get(name)))), None)
        if width is not None or height is not None:
            yield NeededSize(id, node.class_type, width, height, batch)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
