"""The editor's graph as ComfyUI is to run it: what the editor itself would send.

Where only the editor could know a value, the node is named and nothing is guessed.
Source: ComfyUI frontend, graphToPrompt.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from domain.refusals import FieldError, Invalid
from workflows.definitions import Definitions
from workflows.editor import wording
from workflows.editor.document import FIELD, Document
from workflows.editor.flattening import Flat, Given, Path, Source, Wires, flattened, primitives
from workflows.editor.loading import Kind, Loaded, Loader, Place
from workflows.editor.numbers import merged, rounded, within
from workflows.editor.widgets import MISSING, WIDGETS, Widget, as_text, untold

MAX_ERRORS = 20
GROUP_NODES = ("workflow>", "workflow/")
OWN_MODULE = "custom_nodes"
NAMING_NODES = frozenset(
    {
        *("SaveImage", "SaveAnimatedWEBP", "SaveWEBM", "SaveAudio", "SaveGLB", "SaveAnimatedPNG"),
        *("CLIPSave", "VAESave", "ModelSave", "LoraSave", "SaveLatent"),
    }
)
"""In whose `filename_prefix` names of other nodes' widgets are filled in."""
ALIAS = "Node name for S&R"
FILLING = "Run widget replace on values"
SAMPLERS = ("KSampler", "KSamplerAdvanced")


def converted(document: Document, definitions: Definitions) -> dict[str, Any]:
    """The graph in API format. Raises Invalid with up to 20 errors, each naming its node."""
    loader = Loader(document, definitions)
    root = loader.load()
    nodes = flattened(root, loader.places)
    running = [flat for flat in nodes.values() if flat.runs]
    errors = [*_faults(running)]
    if errors:
        raise Invalid("The editor's graph cannot be converted.", *errors[:MAX_ERRORS])
    _old_samplers(root)
    names = _names(nodes.values())
    for place in [*loader.places.values(), root]:
        _spread(place, names)
    wires = Wires(nodes, loader.places)
    kept = {flat.path for flat in running}
    return {flat.id: _sent(flat, wires, names, kept) for flat in running}


def _faults(running: Iterable[Flat]) -> Iterator[FieldError]:
    for flat in running:
        if (fault := _fault(flat.node)) is not None:
            yield FieldError(f"{FIELD}.{flat.id}", fault)


def _fault(node: Loaded) -> str | None:
    """Why nobody but the editor knows what this node is sent as."""
    name, definition = node.saved.type[:200], node.definition
    if name.startswith(GROUP_NODES):
        return f"{name} is a group node. Make a subgraph of it, or ungroup it."
    if definition is None:
        return f"No backend has told of the node {name}."
    if (captured := untold(definition)) is not None:
        return f"Only the editor has the value of {captured.name[:100]} of the node {name}."
    if not definition.module.startswith(OWN_MODULE) or node.saved.values is None:
        return None
    stored = [widget.name for widget in node.widgets if widget.stored]
    if isinstance(node.saved.values, dict):
        known = all(widget.name in node.saved.values for widget in node.widgets if widget.sent)
        return None if known else f"What was saved of {name} does not hold all of its values."
    if len(node.saved.values) > len(stored) and _own_widgets(node):
        return f"The node {name} has widgets of its own in the editor: which value is which cannot be known."
    return None


def _own_widgets(node: Loaded) -> bool:
    forced = [each for each in node.definition.inputs if each.forced] if node.definition else []
    stored = sum(widget.stored for widget in node.widgets)
    return isinstance(node.saved.values, list) and len(node.saved.values) != stored + len(forced)


def _sent(flat: Flat, wires: Wires, names: Mapping[str, Loaded], kept: set[Path]) -> dict[str, Any]:
    wired: dict[str, Any] = {}
    for index, slot in enumerate(flat.node.inputs):
        match wires.into(flat, index):
            case Source(node=source, slot=place):
                wired[slot.name] = [source.id, place] if source.path in kept else MISSING
            case Given(value=value):
                wired[slot.name] = _literal(value)
            case None:
                pass
    inputs = {
        widget.name: _literal(_value(widget, flat, names))
        for widget in flat.node.widgets
        if widget.sent and widget.name not in wired
    }
    return {
        "inputs": {name: value for name, value in (inputs | wired).items() if value is not MISSING},
        "class_type": flat.node.saved.type,
        "_meta": {"title": flat.node.title},
    }


def _value(widget: Widget, flat: Flat, names: Mapping[str, Loaded]) -> Any:
    value = widget.value
    if not isinstance(value, str):
        return value
    if widget.declared is not None and widget.declared.dynamic:
        try:
            return wording.resolved(value)
        except wording.AtRandomError as error:
            fault = "offers a choice in braces: {...|...}. A version is always the same: choose one."
            raise _unsaid(widget, flat, fault) from error
        except wording.TooDeepError as error:
            raise _unsaid(widget, flat, "has braces in braces, and in those, beyond all reason.") from error
    if widget.name == "filename_prefix" and flat.node.saved.type in NAMING_NODES:
        return _filled_in(value, names)
    return value


def _unsaid(widget: Widget, flat: Flat, fault: str) -> Invalid:
    reason = f"The {widget.name} of the node {flat.node.saved.type} {fault}"
    return Invalid("The editor's graph cannot be converted.", FieldError(f"{FIELD}.{flat.id}", reason))


def _filled_in(text: str, names: Mapping[str, Loaded]) -> str:
    def value_of(name: str, widget: str) -> str | None:
        node = names.get(name)
        found = node.widget(widget) if node is not None else None
        if found is None:
            return None
        return "" if found.value is None or found.value is MISSING else as_text(found.value)

    return wording.filled_in(text, value_of)


def _names(nodes: Iterable[Flat]) -> dict[str, Loaded]:
    """By their aliases, or else by their titles; of several with one name the first."""
    found: dict[str, Loaded] = {}
    for alias in (_alias, lambda node: node.title):
        for flat in nodes:
            if isinstance(name := alias(flat.node), str):
                found.setdefault(name, flat.node)
    return found


def _alias(node: Loaded) -> Any:
    if ALIAS in node.saved.properties:
        return node.saved.properties[ALIAS]
    return node.saved.type if node.kind is Kind.PLAIN and node.saved.type not in NAMING_NODES else None


def _literal(value: Any) -> Any:
    """A list would be taken for a wire."""
    return {"__value__": value} if isinstance(value, list) else value


def _spread(place: Place, names: Mapping[str, Loaded]) -> None:
    """The values of primitive nodes, into the widgets that they are wired to."""
    for primitive, targets in primitives(place):
        if not targets:
            continue
        value = _held(primitive, targets)
        if isinstance(value, str) and value and primitive.saved.properties.get(FILLING):
            value = _filled_in(value, names)
        for node, name in targets:
            if (widget := node.widget(name)) is not None:
                widget.put(value)
                widget.put(rounded(widget.value, widget.declared))


def _held(primitive: Loaded, targets: list[tuple[Loaded, str]]) -> Any:
    """What stands in a primitive node, which has the form of the first widget it is wired to."""
    node, name = targets[0]
    first = node.widget(name)
    slot = next((each for each in node.inputs if (each.widget or each.name) == name), None)
    if first is None and (slot is None or slot.widget is not None or slot.type not in WIDGETS):
        return MISSING
    values = primitive.saved.values
    if isinstance(values, list) and values:
        held = Widget("value", declared=None if first is None or not first.is_text_area else first.declared)
        held.put(values[0])
        value = held.value
    else:
        value = MISSING if first is None else first.value
    return _allowed(value, first, targets)


def _allowed(value: Any, first: Widget | None, targets: list[tuple[Loaded, str]]) -> Any:
    """A number as all allow it who ask for the same one."""
    form = first.declared if first is not None else None
    if form is None or form.type not in ("INT", "FLOAT"):
        return value
    for node, name in targets:
        widget = node.widget(name)
        if widget is None or widget.declared is None or (both := merged(form, widget.declared)) is None:
            continue
        form = both
        value = rounded(within(value, form), form)
    return value


def _old_samplers(root: Place) -> None:
    for node in root.nodes.values():
        widget = node.widget("sampler_name") if node.saved.type in SAMPLERS else None
        if widget is not None and isinstance(widget.value, str):
            widget.value = widget.value.removeprefix("sample_")
