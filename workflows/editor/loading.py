"""The nodes of a document as they stand in the editor once it has loaded them: with their inputs and values."""

from enum import Enum
from itertools import zip_longest

from msgspec import Struct, field

from workflows.definitions import Definitions, NodeDefinition
from workflows.editor.document import Border, Document, Level, Link, SavedNode, refused
from workflows.editor.widgets import Slot, Widget, fill, migrated, slots_of, widgets_of

MAX_NESTING = 50


class Kind(Enum):
    PLAIN = "plain"
    UNKNOWN = "unknown"
    NOTE = "note"
    REROUTE = "reroute"
    PRIMITIVE = "primitive"
    SUBGRAPH = "subgraph"


VIRTUAL = {
    "Note": Kind.NOTE,
    "MarkdownNote": Kind.NOTE,
    "Reroute": Kind.REROUTE,
    "PrimitiveNode": Kind.PRIMITIVE,
}
"""Nodes that only the editor knows."""


class Loaded(Struct):
    """`outputs`: the type of each. `saved`: as it stood in the file."""

    saved: SavedNode
    kind: Kind
    title: str
    inputs: list[Slot] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    widgets: list[Widget] = field(default_factory=list)
    definition: NodeDefinition | None = None

    def widget(self, name: str | None) -> Widget | None:
        return next((each for each in self.widgets if each.name == name), None) if name is not None else None


class Place(Struct):
    """A level with its nodes loaded."""

    nodes: dict[str, Loaded]
    links: dict[str, Link]
    inputs: tuple[Border, ...] = ()
    outputs: tuple[Border, ...] = ()


class Loader:
    def __init__(self, document: Document, definitions: Definitions) -> None:
        self._document = document
        self._definitions = definitions
        self._order = {id: number for number, id in enumerate(document.subgraphs)}
        self.places: dict[str, Place] = {}
        """Of the subgraphs: every instance of one shares its nodes."""

    def load(self) -> Place:
        """Raises Invalid."""
        _check_nesting(self._document)
        for id in _inner_first(self._document):
            self.places[id] = self._place(self._document.subgraphs[id], inside=id)
        return self._place(self._document.root, inside=None)

    def _place(self, level: Level, *, inside: str | None) -> Place:
        place = Place({}, level.links, level.inputs, level.outputs)
        for id, node in level.nodes.items():
            place.nodes[id] = self._node(node, inside)
        for loaded in place.nodes.values():
            _drop_stale(loaded)
        return place

    def _node(self, node: SavedNode, inside: str | None) -> Loaded:
        if node.type in self._document.subgraphs:
            return self._instance(node, inside)
        if (kind := VIRTUAL.get(node.type)) is not None:
            loaded = Loaded(node, kind, node.title or node.type)
        elif (definition := self._definitions.get(node.type)) is not None:
            return _defined(node, definition)
        else:
            loaded = Loaded(node, Kind.UNKNOWN, node.title or node.type)
        loaded.inputs = [Slot(each.name, each.type, each.link, each.widget) for each in node.inputs]
        loaded.outputs = [each.type for each in node.outputs]
        return loaded

    def _instance(self, node: SavedNode, inside: str | None) -> Loaded:
        """A subgraph in use: its borders are its inputs, and the widgets behind them are shown on it."""
        inner = self.places[node.type]
        own = [Slot(border.name, "*") for border in inner.inputs]
        loaded = Loaded(node, Kind.SUBGRAPH, node.title or node.type)
        loaded.inputs = _merged(own, node)
        for slot in loaded.inputs:
            saved = next((each for each in node.inputs if each.name == slot.name), None)
            slot.type = saved.type if saved is not None else slot.type
        loaded.outputs = [
            each.type if each is not None else "*" for _, each in zip_longest(inner.outputs, node.outputs)
        ]
        late = inside is not None and self._order[node.type] > self._order[inside]
        self._promote(loaded, inner, late=late)
        if not late and isinstance(node.values, list):
            fill(loaded.widgets, node.values)
        return loaded

    def _promote(self, loaded: Loaded, inner: Place, *, late: bool) -> None:
        """`late`: the subgraph stands in the file behind the one that uses it, and is read after it: by names only."""
        borders = {border.name: border for border in inner.inputs}
        for slot in loaded.inputs:
            slot.widget = None
            if (border := borders.get(slot.name)) is None:
                continue
            found = _named(border, inner) if late else _behind(border, inner)
            if found is not None:
                loaded.widgets.append(Widget(slot.name, found.value, declared=found.declared))
                slot.widget = slot.name


def _defined(node: SavedNode, definition: NodeDefinition) -> Loaded:
    loaded = Loaded(node, Kind.PLAIN, node.title or definition.title or node.type, definition=definition)
    loaded.inputs = _merged(slots_of(node.type, definition), node)
    loaded.outputs = [
        declared if declared is not None else saved.type if saved is not None else "*"
        for declared, saved in zip_longest(definition.outputs, node.outputs)
    ]
    loaded.widgets = widgets_of(node.type, definition)
    if isinstance(node.values, list):
        fill(loaded.widgets, migrated(node.type, definition, loaded.widgets, node.values))
    elif isinstance(node.values, dict):
        for widget in loaded.widgets:
            if widget.name in node.values:
                widget.put(node.values[widget.name])
    return loaded


def _merged(own: list[Slot], node: SavedNode) -> list[Slot]:
    """Inputs as they are defined, with the wires that were saved; then those that were saved only."""
    saved = {each.name: each for each in node.inputs}
    for slot in own:
        if (was := saved.get(slot.name)) is not None:
            slot.link = was.link
            slot.widget = slot.widget or was.widget
    names = {slot.name for slot in own}
    return own + [
        Slot(each.name, each.type, each.link, each.widget) for each in node.inputs if each.name not in names
    ]


def _drop_stale(node: Loaded) -> None:
    """Inputs of widgets that the node has no more. The editor goes on behind the next one."""
    if node.kind is not Kind.PLAIN:
        return
    at = 0
    while at < len(node.inputs):
        slot = node.inputs[at]
        if slot.widget is not None and node.widget(slot.widget) is None:
            del node.inputs[next(i for i, each in enumerate(node.inputs) if each is slot)]
        at += 1


def _behind(border: Border, inner: Place) -> Widget | None:
    """The first widget that a border leads to, by the place that its wire names."""
    for id in border.links:
        link = inner.links.get(id)
        node = inner.nodes.get(link.target) if link is not None else None
        if link is None or node is None or not 0 <= link.target_slot < len(node.inputs):
            continue
        if (widget := node.widget(node.inputs[link.target_slot].widget)) is not None:
            return widget
    return None


def _named(border: Border, inner: Place) -> Widget | None:
    link = inner.links.get(border.links[0]) if border.links else None
    node = inner.nodes.get(link.target) if link is not None else None
    return node.widget(border.name) if node is not None else None


def _inner_first(document: Document) -> list[str]:
    """Subgraphs, each after those that it uses."""
    order: dict[str, None] = {}

    def visit(id: str) -> None:
        for node in document.subgraphs[id].nodes.values():
            if node.type in document.subgraphs and node.type not in order:
                visit(node.type)
        order.setdefault(id)

    for id in document.subgraphs:
        if id not in order:
            visit(id)
    return list(order)


def _check_nesting(document: Document) -> None:
    """Raises Invalid where a subgraph holds itself, or too many hold one another."""
    depths: dict[str, int] = {}

    def depth(id: str, above: tuple[str, ...]) -> int:
        if id in above:
            raise refused("definitions.subgraphs", "A subgraph holds itself.")
        if len(above) >= MAX_NESTING:
            raise refused("definitions.subgraphs", f"They are nested more than {MAX_NESTING} levels deep.")
        if id not in depths:
            used = {
                node.type for node in document.subgraphs[id].nodes.values() if node.type in document.subgraphs
            }
            depths[id] = 1 + max((depth(each, (*above, id)) for each in used), default=0)
        return depths[id]

    for id in document.subgraphs:
        depth(id, ())
