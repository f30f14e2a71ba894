"""What two graphs have in common and where they differ, as a person would say it.

Only what a node computes counts: its class and its inputs; titles do not. Which node is which is told by
`workflows.matching`. Graphs that are not well formed are compared as far as they go.
"""

from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, Struct, UnsetType

from workflows.graph import Graph, Node, is_link, links
from workflows.matching import matched, token

MAX_SHOWN = 80  # characters of a value or a name in the text


class NodeName(Struct, frozen=True):
    id: str
    class_type: str


class Source(Struct, frozen=True):
    """An input that is a link: the node it comes from. `class_type` is None where there is no such node."""

    node: str
    class_type: str | None
    slot: Any


class Value(Struct, frozen=True):
    """An input that is a value."""

    value: Any


Side: TypeAlias = Source | Value | UnsetType
"""An input before or after; left out where the node has no such input."""


class InputChange(Struct, frozen=True, kw_only=True):
    """An input of a node that is in both graphs. `rewired`: a link is in it, on either side."""

    input: str
    before: Side = UNSET
    after: Side = UNSET
    rewired: bool = False


class NewNode(Struct, frozen=True):
    """A node that is in the second graph only, with all of its inputs."""

    id: str
    class_type: str
    inputs: dict[str, Source | Value]


class NodeChange(Struct, frozen=True):
    """`before` and `after` have other ids where the node was renumbered."""

    before: NodeName
    after: NodeName
    inputs: tuple[InputChange, ...]


class GraphDiff(Struct, frozen=True):
    """`renumbered`: the ids, before and after, of nodes that are the same under another id."""

    added: tuple[NewNode, ...]
    removed: tuple[NodeName, ...]
    changed: tuple[NodeChange, ...]
    renumbered: tuple[tuple[str, str], ...]

    @property
    def empty(self) -> bool:
        """Both graphs compute the same from the same nodes."""
        return not (self.added or self.removed or self.changed)


def diff(before: Graph, after: Graph) -> GraphDiff:
    """What leads from one graph to the other: remove, renumber, change and add this, and they are equal."""
    pairs = matched(before, after)
    nowhere = {source for node in before.values() for _, source, _ in links(node) if source not in before}
    sources = pairs | {source: source for source in nowhere}
    back = {new: old for old, new in pairs.items()}
    changes = [
        NodeChange(_name(before, old), _name(after, new), inputs)
        for old, new in pairs.items()
        if (inputs := _input_changes(before, before[old], after, after[new], sources))
    ]
    return GraphDiff(
        added=tuple(_new_node(after, id) for id in after if id not in back),
        removed=tuple(_name(before, id) for id in before if id not in pairs),
        changed=tuple(changes),
        renumbered=tuple((old, new) for old, new in pairs.items() if old != new),
    )


def as_text(difference: GraphDiff) -> str:
    """One line for each thing that is different, and one for each input of a new node; empty when nothing is."""
    lines: list[str] = []
    for node in difference.added:
        lines.append(f"+ {_shown(NodeName(node.id, node.class_type))}")
        lines += [f"    {_printable(name)}: {_side_text(side)}" for name, side in node.inputs.items()]
    lines += [f"- {_shown(name)}" for name in difference.removed]
    for change in difference.changed:
        lines += [f"~ {_shown(change.after)}: {_told(each)}" for each in change.inputs]
    lines += [f"= {_printable(old)} is now {_printable(new)}" for old, new in difference.renumbered]
    return "\n".join(lines)


def _input_changes(
    before: Graph, old: Node, after: Graph, new: Node, sources: dict[str, str]
) -> tuple[InputChange, ...]:
    changes: list[InputChange] = []
    for name in (*old.inputs, *(name for name in new.inputs if name not in old.inputs)):
        was, is_now = old.inputs.get(name, UNSET), new.inputs.get(name, UNSET)
        if was is UNSET or is_now is UNSET or token(was, sources) != token(is_now):
            changes.append(
                InputChange(
                    input=name,
                    before=UNSET if was is UNSET else _side(before, was),
                    after=UNSET if is_now is UNSET else _side(after, is_now),
                    rewired=is_link(was) or is_link(is_now),
                )
            )
    return tuple(changes)


def _new_node(graph: Graph, id: str) -> NewNode:
    node = graph[id]
    return NewNode(id, node.class_type, {name: _side(graph, value) for name, value in node.inputs.items()})


def _side(graph: Graph, value: Any) -> Source | Value:
    if not is_link(value):
        return Value(value)
    source = graph.get(value[0])
    return Source(value[0], source.class_type if source else None, value[1])


def _name(graph: Graph, id: str) -> NodeName:
    return NodeName(id, graph[id].class_type)


def _shown(name: NodeName) -> str:
    return f"{_printable(name.id)} {_printable(name.class_type)}"


def _told(change: InputChange) -> str:
    name = _printable(change.input)
    if change.before is UNSET:
        return f"{name} is new: {_side_text(change.after)}"
    if change.after is UNSET:
        return f"{name} is gone, was {_side_text(change.before)}"
    return f"{name} {_side_text(change.before)} -> {_side_text(change.after)}"


def _side_text(side: Side) -> str:
    match side:
        case Source(node=node, class_type=class_type, slot=slot):
            return _printable(f"{node} {class_type or '(no such node)'} [{slot}]")
        case Value(value=value):
            return _printable(msgspec.json.encode(value).decode())
    return ""


def _printable(text: str) -> str:
    """Short, on one line, and without what a terminal would obey."""
    short = text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."
    if short.isprintable():
        return short
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in short)
