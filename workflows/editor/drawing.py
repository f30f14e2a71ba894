"""A graph drawn for the editor: what was sent in API format alone gets nodes with places, widgets and wires.

What the editor makes of the drawing is the graph again, where a backend has told of its node classes; but it takes for
comments what begins with `//` in a prompt. Of other nodes the wires are drawn, and the values in the order they came.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from workflows.definitions import Definitions, NodeDefinition
from workflows.editor.widgets import MISSING, Slot, Widget, slots_of, widgets_of
from workflows.graph import Graph, Node, is_link

COLUMN, ROW, GAP = 400, 26, 60
WIDTH = 315
ANY = "*"
_BRACE = re.compile(r"(?<!\\)([{}])")  # the editor offers a choice between two
_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}")  # JavaScript knows no more digits
UNSENT = {"control_after_generate": "fixed", "upload": "image", "Auto-refresh after generation": False}
"""What stands in widgets that are no inputs: a seed stays what it is."""


class Wire(Struct, frozen=True):
    """From an output to an input, each by node and place."""

    id: int
    origin: str
    origin_slot: int
    target: str
    target_slot: int
    type: str


def drawn(graph: Graph, titles: Mapping[str, str], definitions: Definitions, id: str) -> dict[str, Any]:
    """`titles`: of the nodes that have one of their own. `id`: the drawing's."""
    names = _names(graph)
    slots = {node: _slots(graph[node], definitions.get(graph[node].class_type)) for node in graph}
    wires = list(_wires(graph, slots, definitions))
    into = {(wire.target, wire.target_slot): wire.id for wire in wires}
    leaving: dict[str, list[Wire]] = {key: [] for key in graph}
    for wire in wires:
        leaving[wire.origin].append(wire)
    places = _places(graph, slots)
    nodes = []
    for order, (key, node) in enumerate(graph.items()):
        definition = definitions.get(node.class_type)
        nodes.append(
            {
                "id": names[key],
                "type": node.class_type,
                "pos": places[key],
                "size": [WIDTH, _height(node, slots[key])],
                "flags": {},
                "order": order,
                "mode": 0,
                **({"title": titles[key]} if key in titles else {}),
                "inputs": [_input(slot, into.get((key, at))) for at, slot in enumerate(slots[key])],
                "outputs": _outputs(definition, leaving[key]),
                "properties": {"Node name for S&R": node.class_type},
                "widgets_values": _values(node, definition),
            }
        )
    return _document(id, nodes, [_saved(wire, names) for wire in wires])


def _document(id: str, nodes: list[dict[str, Any]], links: list[list[Any]]) -> dict[str, Any]:
    return {
        "id": id,
        "revision": 0,
        "last_node_id": max((node["id"] for node in nodes), default=0),
        "last_link_id": len(links),
        "nodes": nodes,
        "links": links,
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def _places(graph: Graph, slots: Mapping[str, list[Slot]]) -> dict[str, list[int]]:
    """In columns from left to right, in each from above."""
    found, below, columns = {}, dict[int, int](), _columns(graph)
    for key, node in graph.items():
        column = columns[key]
        found[key] = [COLUMN * column, below.get(column, 0)]
        below[column] = found[key][1] + _height(node, slots[key]) + GAP
    return found


def _height(node: Node, slots: list[Slot]) -> int:
    return ROW * (len(slots) + len(node.inputs)) + GAP


def _names(graph: Graph) -> dict[str, int]:
    """Their own numbers; where one has none, new ones for all."""
    if all(_NUMBER.fullmatch(key) for key in graph):
        return {key: int(key) for key in graph}
    return {key: number for number, key in enumerate(graph, 1)}


def _slots(node: Node, definition: NodeDefinition | None) -> list[Slot]:
    known = [] if definition is None else slots_of(node.class_type, definition)
    names = {slot.name for slot in known}
    more = [Slot(name, ANY) for name, value in node.inputs.items() if is_link(value) and name not in names]
    return known + more


def _wires(graph: Graph, slots: Mapping[str, list[Slot]], definitions: Definitions) -> Iterator[Wire]:
    number = 0
    for key, node in graph.items():
        for place, slot in enumerate(slots[key]):
            value: Any = node.inputs.get(slot.name)
            if is_link(value) and value[0] in graph:
                number += 1
                type = _type(definitions.get(graph[value[0]].class_type), value[1])
                yield Wire(number, value[0], value[1], key, place, slot.type if type == ANY else type)


def _type(definition: NodeDefinition | None, slot: int) -> str:
    outputs = definition.outputs if definition is not None else ()
    return outputs[slot] if slot < len(outputs) else ANY


def _values(node: Node, definition: NodeDefinition | None) -> list[Any]:
    if definition is None:
        return [_plain(value) for value in node.inputs.values() if not is_link(value)]
    return [_value(widget, node) for widget in widgets_of(node.class_type, definition) if widget.stored]


def _value(widget: Widget, node: Node) -> Any:
    if not widget.sent:
        return UNSENT.get(widget.name, "")
    given = node.inputs.get(widget.name, MISSING)
    if given is MISSING or is_link(given):
        return None if widget.value is MISSING else widget.value
    if isinstance(given, str) and widget.declared is not None and widget.declared.dynamic:
        return _BRACE.sub(r"\\\1", given)
    return _plain(given)


def _plain(value: Any) -> Any:
    """A list stands in a graph as `{"__value__": [...]}`, as it would be taken for a wire."""
    return value["__value__"] if isinstance(value, dict) and value.keys() == {"__value__"} else value


def _columns(graph: Graph) -> dict[str, int]:
    """Each node behind all that it is wired to."""
    columns: dict[str, int] = {}
    for first in graph:
        waiting = [first]
        while waiting:
            key = waiting[-1]
            sources = [
                value[0] for value in graph[key].inputs.values() if is_link(value) and value[0] in graph
            ]
            unknown = [source for source in sources if source not in columns and source not in waiting]
            if unknown:
                waiting += unknown[:1]
                continue
            columns[key] = max((columns.get(source, 0) + 1 for source in sources), default=0)
            waiting.pop()
    return columns


def _input(slot: Slot, link: int | None) -> dict[str, Any]:
    widget = {} if slot.widget is None else {"widget": {"name": slot.widget}}
    return {"name": slot.name, "type": slot.type, "link": link, **widget}


def _outputs(definition: NodeDefinition | None, wires: list[Wire]) -> list[dict[str, Any]]:
    known = definition.outputs if definition is not None else ()
    count = max([len(known), *(wire.origin_slot + 1 for wire in wires)])
    return [
        {
            "name": _type(definition, slot),
            "type": _type(definition, slot),
            "links": [wire.id for wire in wires if wire.origin_slot == slot] or None,
        }
        for slot in range(count)
    ]


def _saved(wire: Wire, names: Mapping[str, int]) -> list[Any]:
    ends = names[wire.origin], wire.origin_slot, names[wire.target], wire.target_slot
    return [wire.id, *ends, wire.type]
