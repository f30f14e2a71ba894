"""The widgets that the editor puts on a node, in order, and what the values that were saved are to them.

Values are saved by place, and not every widget is sent: a seed is followed by what happens to it after a run, a
picture by a button. Source: ComfyUI frontend, scripts/widgets.ts and its own extensions; GATEWAY of 1.27.
"""

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from workflows.definitions import COMBO, InputDefinition, NodeDefinition

SEEDS = ("seed", "noise_seed")
PLAIN = ("INT", "FLOAT", "BOOLEAN", "STRING", COMBO)
AUDIO_NODES = ("LoadAudio", "SaveAudio", "PreviewAudio", "SaveAudioMP3", "SaveAudioOpus")
MODEL_NODES = {
    "Preview3D": "PREVIEW_3D",
    "SaveGLB": "PREVIEW_3D",
    "Preview3DAnimation": "PREVIEW_3D_ANIMATION",
}
CAPTURED = ("WEBCAM", "AUDIO_RECORD", "LOAD_3D", "LOAD_3D_ANIMATION")
"""Their value is taken by the editor at the moment of the run: nobody else has it."""
OTHERS = ("MARKDOWN", "FILEUPLOAD", "COLOR", "IMAGECOMPARE", "TREESELECT", "MULTISELECT", "CHART", "GALLERIA")
UNTOLD = (*CAPTURED, *OTHERS, "SELECTBUTTON", "TEXTAREA")
"""Widgets whose value is not simply what was saved."""
SHOWN = ("IMAGEUPLOAD", "AUDIOUPLOAD", "AUDIO_UI", "PREVIEW_3D", "PREVIEW_3D_ANIMATION")
WIDGETS = frozenset((*PLAIN, *UNTOLD, *SHOWN))


class Missing(Enum):
    MISSING = "missing"

    def __repr__(self) -> str:
        return self.name


MISSING: Final = Missing.MISSING
"""No value at all: such an input is not sent."""


class Widget(Struct):
    """`stored`: a value was saved for it. `sent`: it is an input of the graph. `declared`: what it asks for."""

    name: str
    value: Any = MISSING
    stored: bool = True
    sent: bool = True
    declared: InputDefinition | None = None

    @property
    def is_text_area(self) -> bool:
        return self.declared is not None and self.declared.type == "STRING" and self.declared.multiline

    def put(self, value: Any) -> None:
        if self.is_text_area:
            value = _typed_in(value)
        elif self.declared is not None and self.declared.uploads and self.declared.type == COMBO:
            value = _file(value, self.declared)
        self.value = value


class Slot(Struct):
    """An input of a node as it stands in the editor. `widget`: the name of the one whose value a wire replaces."""

    name: str
    type: str
    link: str | None = None
    widget: str | None = None


def widgets_of(name: str, definition: NodeDefinition) -> list[Widget]:
    found = [
        widget
        for declared in _in_order(name, definition)
        if _is_widget(declared)
        for widget in _made(declared)
    ]
    if name == "PreviewAny":
        found.append(Widget("preview", "", stored=False))
    return found


def slots_of(name: str, definition: NodeDefinition) -> list[Slot]:
    """Those for wires only, then those of the widgets."""
    inputs = list(_in_order(name, definition))
    wired = [Slot(each.name, each.type) for each in inputs if not _is_widget(each)]
    return wired + [
        Slot(each.name, each.type, widget=each.name)
        for each in inputs
        if _is_widget(each) and not each.socketless
    ]


def untold(definition: NodeDefinition) -> InputDefinition | None:
    """An input whose value only the editor has."""
    return next(
        (each for each in definition.inputs if (_is_widget(each) and _kind(each) in UNTOLD) or each.several),
        None,
    )


def fill(widgets: Sequence[Widget], values: Sequence[Any]) -> None:
    """Each saved value into the widget in its place."""
    for widget, value in zip((each for each in widgets if each.stored), values, strict=False):
        widget.put(value)


def migrated(
    name: str, definition: NodeDefinition, widgets: Sequence[Widget], values: list[Any]
) -> list[Any]:
    """Without those of inputs that were widgets once and take wires only by now."""
    names = {widget.name for widget in widgets}
    were = [each for each in _declared(name, definition) if each.name in names or each.forced]
    if sum(2 if each.control or each.name in SEEDS else 1 for each in were) != len(values):
        return values
    padded = [*were, *[None] * (len(values) - len(were))]
    return [value for each, value in zip(padded, values, strict=False) if each is None or not each.forced]


def _declared(name: str, definition: NodeDefinition) -> list[InputDefinition]:
    """With what the editor adds by itself, behind those that must be there."""
    required = [each for each in definition.inputs if not each.optional]
    optional = [each for each in definition.inputs if each.optional]
    return [*required, *_added(name, required), *optional]


def _in_order(name: str, definition: NodeDefinition) -> list[InputDefinition]:
    required = [each for each in definition.inputs if not each.optional]
    return [*required, *(each for each in definition.inputs if each.optional), *_added(name, required)]


def _added(name: str, required: Sequence[InputDefinition]) -> Iterator[InputDefinition]:
    if name in AUDIO_NODES:
        yield InputDefinition(name="audioUI", type="AUDIO_UI")
    if any(each.uploads and each.type == COMBO and each.name != "audio" for each in required):
        yield InputDefinition(name="upload", type="IMAGEUPLOAD")
    if any(each.uploads and each.name == "audio" for each in required):
        yield InputDefinition(name="upload", type="AUDIOUPLOAD")
    if name in MODEL_NODES and not any(each.name == "image" for each in required):
        yield InputDefinition(name="image", type=MODEL_NODES[name])


def _kind(declared: InputDefinition) -> str:
    return declared.widget or declared.type


def _is_widget(declared: InputDefinition) -> bool:
    return _kind(declared) in WIDGETS and not declared.forced


def _made(declared: InputDefinition) -> Iterator[Widget]:
    """The widgets of one input: its own first."""
    match _kind(declared):
        case "AUDIO_UI":
            yield Widget(declared.name, "", stored=False)
        case "PREVIEW_3D" | "PREVIEW_3D_ANIMATION":
            yield Widget("image", "")
        case "IMAGEUPLOAD" | "AUDIOUPLOAD":
            yield Widget(declared.name, sent=False)
        case "INT":
            yield _begun(declared, 0)
            if declared.control or (declared.control is None and declared.name in SEEDS):
                yield Widget("control_after_generate", sent=False)
        case "COMBO":
            yield from _choice(declared)
        case "BOOLEAN":
            yield _begun(declared, False)
        case "FLOAT":
            yield _begun(declared, 0)
        case _:
            yield _begun(declared, "")


def _begun(declared: InputDefinition, otherwise: Any) -> Widget:
    return Widget(
        declared.name, otherwise if declared.default is None else declared.default, declared=declared
    )


def _choice(declared: InputDefinition) -> Iterator[Widget]:
    value = declared.default or declared.first
    if value is None:
        value = "Loading..." if declared.remote else MISSING
    if declared.uploads:
        begins = "undefined" if value is MISSING else str(value)
        declared = replace(declared, default=begins)
        value = _file(begins, declared)
    yield Widget(declared.name, value, declared=declared)
    if declared.remote:
        yield Widget("Auto-refresh after generation", sent=False)
    if declared.refreshed:
        yield Widget("refresh", "refresh")
    if declared.control:
        yield Widget("control_after_generate", sent=False)
        yield Widget("control_filter_list", sent=False)


def _file(value: Any, declared: InputDefinition) -> Any:
    """As the editor names a file of a folder that is not the usual one."""
    if not value:
        return declared.default
    if isinstance(value, list):
        return (
            [_annotated(each, declared) for each in value]
            if declared.batch
            else _annotated(value[0], declared)
        )
    return _annotated(value, declared)


def _annotated(value: Any, declared: InputDefinition) -> Any:
    if not isinstance(value, str) or declared.folder in ("", "input"):
        return value
    known = any(f"[{folder}]" in value.lower() for folder in ("input", "output", "temp"))
    return value if known else f"{value} [{declared.folder}]"


def _typed_in(value: Any) -> Any:
    """A text area holds text, with one kind of line end."""
    if value is None or value is MISSING:
        return ""
    return as_text(value).replace("\r\n", "\n").replace("\r", "\n")


def as_text(value: Any) -> str:
    """As the editor writes a value into a text."""
    match value:
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < 1e21:
            return str(int(value))
        case list():
            return ",".join("" if each is None else as_text(each) for each in value)
        case dict():
            return "[object Object]"
        case None:
            return "null"
        case _:
            return str(value)
