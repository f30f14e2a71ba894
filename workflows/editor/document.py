"""A workflow as the editor saves it, read: nodes, wires, and subgraphs with theirs.

Wires are lists in version 0.4 and objects later and inside subgraphs; both occur in one file.
Source: ComfyUI frontend, workflowSchema.
"""

from typing import Any

from msgspec import Struct

from domain.refusals import FieldError, Invalid

FROM_OUTSIDE = "-10"
"""In place of a node: where the wires come from that enter a subgraph."""
MUTED, BYPASSED = 2, 4
MAX_NODES = 5_000
MAX_SUBGRAPHS = 500
MAX_SLOTS = 500  # inputs or outputs, of one node or subgraph
MAX_LINKS = 50_000
MAX_TYPE = 1_000
RENAMED = {
    "T2IAdapterLoader": "ControlNetLoader",
    "ConditioningAverage ": "ConditioningAverage",
    "SDV_img2vid_Conditioning": "SVD_img2vid_Conditioning",
}
"""Node classes that have another name by now."""
FIELD = "editor_graph"


class SavedInput(Struct, frozen=True, kw_only=True):
    """`widget`: the name of the widget whose value a wire may replace."""

    name: str = ""
    type: str = ""
    link: str | None = None
    widget: str | None = None


class SavedOutput(Struct, frozen=True, kw_only=True):
    type: str = ""
    links: tuple[str, ...] = ()


class SavedNode(Struct, frozen=True, kw_only=True):
    """`values`: of its widgets, one after the other, or by name; None: none were saved."""

    id: str
    type: str
    mode: int = 0
    title: str = ""
    inputs: tuple[SavedInput, ...] = ()
    outputs: tuple[SavedOutput, ...] = ()
    values: list[Any] | dict[str, Any] | None = None
    properties: dict[str, Any] = {}


class Link(Struct, frozen=True):
    """From a node's output to a node's input, each by its place."""

    origin: str
    origin_slot: int
    target: str
    target_slot: int


class Border(Struct, frozen=True):
    """A place where wires enter or leave a subgraph."""

    name: str
    links: tuple[str, ...]


class Level(Struct, frozen=True, kw_only=True):
    """The workflow itself, or one subgraph. `inputs` and `outputs`: a subgraph's borders."""

    nodes: dict[str, SavedNode]
    links: dict[str, Link]
    inputs: tuple[Border, ...] = ()
    outputs: tuple[Border, ...] = ()


class Document(Struct, frozen=True):
    """`subgraphs` in the order in which they were saved."""

    root: Level
    subgraphs: dict[str, Level]


def is_editor_graph(graph: Any) -> bool:
    """Whether it looks like the editor's and not like a graph in API format."""
    return isinstance(graph, dict) and isinstance(graph.get("nodes"), list)


def read_document(graph: dict[str, Any]) -> Document:
    """Raises Invalid where it is not as the editor saves it, or empty."""
    if not graph.get("nodes"):
        raise Invalid("The editor's graph is empty.", FieldError(FIELD, "It has no nodes."))
    definitions = _object(graph.get("definitions"), "definitions").get("subgraphs")
    subgraphs = _list(definitions, "definitions.subgraphs")
    if len(subgraphs) > MAX_SUBGRAPHS:
        raise refused("definitions.subgraphs", f"It may have {MAX_SUBGRAPHS} subgraphs at most.")
    read: dict[str, Level] = {}
    for index, each in enumerate(subgraphs):
        path = f"definitions.subgraphs[{index}]"
        read[_id(_object(each, path).get("id"), f"{path}.id")] = _level(each, f"{path}.")
    return Document(_level(graph, ""), read)


def refused(path: str, reason: str) -> Invalid:
    return Invalid("The editor's graph cannot be read.", FieldError(f"{FIELD}.{path}", reason))


def _level(graph: dict[str, Any], path: str) -> Level:
    nodes: dict[str, SavedNode] = {}
    saved = _list(graph.get("nodes"), f"{path}nodes")
    if len(saved) > MAX_NODES:
        raise refused(f"{path}nodes", f"It may have {MAX_NODES} nodes at most.")
    for index, each in enumerate(saved):
        node = _node(_object(each, f"{path}nodes[{index}]"), f"{path}nodes[{index}]")
        if node.id in nodes:
            raise refused(f"{path}nodes[{index}].id", f"There are two nodes {node.id}.")
        nodes[node.id] = node
    links = dict(
        _link(each, f"{path}links[{index}]")
        for index, each in enumerate(_list(graph.get("links"), f"{path}links", MAX_LINKS))
        if each is not None
    )
    return Level(
        nodes=nodes,
        links={id: link for id, link in links.items() if link.origin in nodes or link.origin == FROM_OUTSIDE},
        inputs=_borders(graph.get("inputs"), f"{path}inputs"),
        outputs=_borders(graph.get("outputs"), f"{path}outputs"),
    )


def _node(node: dict[str, Any], path: str) -> SavedNode:
    kind = node.get("type")
    if not isinstance(kind, str) or not kind:
        raise refused(f"{path}.type", "The name of the node's class is missing.")
    values, mode, title = node.get("widgets_values"), node.get("mode", 0), node.get("title")
    return SavedNode(
        id=_id(node.get("id"), f"{path}.id"),
        type=RENAMED.get(kind, kind),
        mode=mode if isinstance(mode, int) else 0,
        title=title if isinstance(title, str) else "",
        inputs=tuple(
            _input(_object(each, f"{path}.inputs"), f"{path}.inputs")
            for each in _list(node.get("inputs"), f"{path}.inputs", MAX_SLOTS)
        ),
        outputs=tuple(
            _output(_object(each, f"{path}.outputs"), f"{path}.outputs")
            for each in _list(node.get("outputs"), f"{path}.outputs", MAX_SLOTS)
        ),
        values=values if isinstance(values, list | dict) else None,
        properties=_object(node.get("properties"), f"{path}.properties"),
    )


def _input(slot: dict[str, Any], path: str) -> SavedInput:
    widget, link = slot.get("widget"), slot.get("link")
    name = widget.get("name") if isinstance(widget, dict) else None
    return SavedInput(
        name=_text(slot.get("name")),
        type=_type(slot.get("type")),
        link=None if link is None else _id(link, f"{path}.link"),
        widget=name if isinstance(name, str) else None,
    )


def _output(slot: dict[str, Any], path: str) -> SavedOutput:
    links = _list(slot.get("links"), f"{path}.links")
    return SavedOutput(
        type=_type(slot.get("type")), links=tuple(_id(each, f"{path}.links") for each in links)
    )


def _borders(borders: Any, path: str) -> tuple[Border, ...]:
    return tuple(
        Border(
            _text(_object(each, path).get("name")),
            tuple(_id(link, f"{path}.linkIds") for link in _list(each.get("linkIds"), f"{path}.linkIds")),
        )
        for each in _list(borders, path, MAX_SLOTS)
    )


def _link(link: Any, path: str) -> tuple[str, Link]:
    match link:
        case [id, origin, int(origin_slot), target, int(target_slot), *_]:
            pass
        case {
            "id": id,
            "origin_id": origin,
            "origin_slot": int(origin_slot),
            "target_id": target,
            "target_slot": int(target_slot),
        }:
            pass
        case _:
            raise refused(path, "It is no wire between two nodes.")
    return _id(id, path), Link(_id(origin, path), origin_slot, _id(target, path), target_slot)


def _id(value: Any, path: str) -> str:
    match value:
        case bool():
            pass
        case int() | str() if value != "":
            return str(value)
        case float() if value.is_integer():
            return str(int(value))
    raise refused(path, "The id is missing, or is none.")


def _type(value: Any) -> str:
    """A list is one of choices; a number stands for any."""
    if isinstance(value, list):
        return "COMBO"
    return value if isinstance(value, str) and len(value) <= MAX_TYPE else "*"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _object(value: Any, path: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refused(path, "It is not an object.")
    return value


def _list(value: Any, path: str, most: int | None = None) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise refused(path, "It is not a list.")
    if most is not None and len(value) > most:
        raise refused(path, f"There may be {most} at most.")
    return value
