"""The nodes of all levels side by side, and where the wires into them come from in the end.

A wire runs through what is only shown: into and out of subgraphs, through reroutes, past bypassed nodes.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from msgspec import Struct

from domain.refusals import FieldError, Invalid
from workflows.editor.document import BYPASSED, FIELD, FROM_OUTSIDE, MUTED
from workflows.editor.loading import Kind, Loaded, Place

MAX_FLAT = 20_000
MAX_HOPS = 10_000
MAX_HOPS_TOGETHER = 500_000  # of all wires
Path: TypeAlias = tuple[str, ...]
"""The ids of the subgraphs a node is in, from the outside, and its own."""


class Flat(Struct, frozen=True, eq=False):
    """`around`: the subgraph in use that it is in."""

    path: Path
    node: Loaded
    place: Place
    around: "Flat | None" = None

    @property
    def id(self) -> str:
        return ":".join(self.path)

    @property
    def runs(self) -> bool:
        """Whether it is in the graph: neither left out, by itself or with all around it, nor only shown."""
        if self.node.kind not in (Kind.PLAIN, Kind.UNKNOWN):
            return False
        each: Flat | None = self
        while each is not None:
            if each.node.saved.mode in (MUTED, BYPASSED):
                return False
            each = each.around
        return True


class Source(Struct, frozen=True):
    """The end of a wire: a node's output."""

    node: Flat
    slot: int


class Given(Struct, frozen=True):
    """The end of a wire: what stands in a widget of a subgraph in use."""

    value: Any


def flattened(root: Place, places: Mapping[str, Place]) -> dict[Path, Flat]:
    """Raises Invalid where they are too many."""
    found: dict[Path, Flat] = {}

    def add(place: Place, around: Flat | None) -> None:
        above = () if around is None else around.path
        for id, node in place.nodes.items():
            flat = Flat((*above, id), node, place, around)
            found[flat.path] = flat
            if len(found) > MAX_FLAT:
                raise Invalid(
                    "The editor's graph is too large.",
                    FieldError(FIELD, f"With all its subgraphs it may have {MAX_FLAT} nodes at most."),
                )
            if node.kind is Kind.SUBGRAPH:
                add(places[node.saved.type], flat)

    add(root, None)
    return found


class Wires:
    def __init__(self, nodes: Mapping[Path, Flat], places: Mapping[str, Place]) -> None:
        self._nodes = nodes
        self._places = places
        self._hops = 0

    def into(self, flat: Flat, index: int) -> Source | Given | None:
        """Where an input gets its value from; None: from nowhere. Raises Invalid for a circle."""
        step: _Step | Source | Given | None = _Step(flat, index, None, is_input=True)
        seen: set[tuple[Path, bool, int]] = set()
        while isinstance(step, _Step):
            key = (step.node.path, step.is_input, step.slot)
            if key in seen or len(seen) > MAX_HOPS:
                raise _refused(step.node, "Its wires lead in a circle.")
            seen.add(key)
            self._hops += 1
            if self._hops > MAX_HOPS_TOGETHER:
                raise _refused(step.node, "All wires together are too long.")
            step = self._from_input(step) if step.is_input else self._from_output(step)
        return step

    def _from_input(self, step: "_Step") -> "_Step | Given | None":
        flat = step.node
        slot = flat.node.inputs[step.slot]
        if slot.link is None:
            return None
        if (link := flat.place.links.get(slot.link)) is None:
            raise _refused(flat, f"The wire into its input {slot.name[:100]} comes from nowhere.")
        if link.origin == FROM_OUTSIDE and flat.around is not None:
            return self._outside(flat, flat.around, link.origin_slot)
        origin = self._nodes[(*flat.path[:-1], link.origin)]
        return _Step(origin, link.origin_slot, step.type or slot.type, is_input=False)

    def _outside(self, flat: Flat, around: Flat, index: int) -> "_Step | Given | None":
        if not 0 <= index < len(around.node.inputs):
            raise _refused(flat, "A wire comes from an input that its subgraph has not.")
        slot = around.node.inputs[index]
        if slot.link is not None:
            return _Step(around, index, None, is_input=True)
        widget = around.node.widget(slot.widget)
        return None if widget is None else Given(widget.value)

    def _from_output(self, step: "_Step") -> "_Step | Source | None":
        flat, type = step.node, step.type or ""
        if flat.node.saved.mode == BYPASSED:
            index = _past(flat, step.slot, type)
            return None if index is None else _Step(flat, index, None, is_input=True)
        match flat.node.kind:
            case Kind.SUBGRAPH:
                return self._inside(flat, step.slot, type)
            case Kind.PLAIN | Kind.UNKNOWN:
                return Source(flat, step.slot)
            case _:
                shown = step.slot < len(flat.node.inputs)
                return _Step(flat, step.slot, type, is_input=True) if shown else None

    def _inside(self, flat: Flat, index: int, type: str) -> "_Step | None":
        place = self._places[flat.node.saved.type]
        if not 0 <= index < len(place.outputs):
            raise _refused(flat, "A wire comes from an output that this subgraph has not.")
        link = next((place.links[id] for id in place.outputs[index].links if id in place.links), None)
        if link is None:
            return None
        if link.origin == FROM_OUTSIDE:  # it leads straight through
            return _Step(flat, link.origin_slot, type, is_input=True)
        return _Step(self._nodes[(*flat.path, link.origin)], link.origin_slot, type, is_input=False)


class _Step(Struct, frozen=True):
    node: Flat
    slot: int
    type: str | None
    """What the wire must carry at its end."""
    is_input: bool


def primitives(place: Place) -> Iterator[tuple[Loaded, list[tuple[Loaded, str]]]]:
    """The nodes that hold a value for others' widgets, each with those others and the widgets' names."""
    for id, node in place.nodes.items():
        if node.kind is Kind.PRIMITIVE:
            wired = [wire for wire, link in place.links.items() if link.origin == id]
            order = {
                wire: at for at, wire in enumerate(node.saved.outputs[0].links if node.saved.outputs else ())
            }
            wired.sort(key=lambda wire: order.get(wire, len(order)))
            yield (
                node,
                [
                    (other, slot.name if slot.widget is None else slot.widget)
                    for wire in wired
                    if (other := place.nodes.get(place.links[wire].target)) is not None
                    for slot in other.inputs
                    if slot.link == wire
                ],
            )


def _past(flat: Flat, index: int, type: str) -> int | None:
    """By which input a wire goes on behind a bypassed node."""
    inputs, outputs = flat.node.inputs, flat.node.outputs
    if not 0 <= index < len(outputs):
        raise _refused(flat, "A wire comes from an output that it has not.")
    if type in ("*", ""):
        found = index if len(inputs) > index else 0
        return found if inputs else None
    if index < len(inputs) and _fits(inputs[index].type, outputs[index]) and _fits(inputs[index].type, type):
        return index
    exact = next((at for at, slot in enumerate(inputs) if slot.type == type), None)
    if exact is not None:
        return exact
    return next(
        (at for at, slot in enumerate(inputs) if _fits(slot.type, outputs[index]) and _fits(slot.type, type)),
        None,
    )


def _fits(one: str, other: str) -> bool:
    """Whether a wire may join the two types; several may stand in one, with commas."""
    if one in ("", "*") or other in ("", "*") or one == other:
        return True
    ones, others = one.lower().split(","), other.lower().split(",")
    return any(a in ("", "*") or b in ("", "*") or a == b for a in ones for b in others)


def _refused(flat: Flat, reason: str) -> Invalid:
    return Invalid("The editor's graph cannot be converted.", FieldError(f"{FIELD}.{flat.id}", reason))
