"""What node classes take and give, as a ComfyUI tells it: as much of it as reading the editor's graphs needs.

Source: ComfyUI server.py, node_info; GET /object_info. An input is `[type or choices, options?]`.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from msgspec import Struct, ValidationError, convert

from workflows.inventory import UPLOADED
from workflows.protocol.server import NodeClass, choices

COMBO = "COMBO"
MAX_TEXT = 10_000


class InputDefinition(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One input, and the widget that the editor shows for it. What is absent was not told.

    `first`: of several choices the one that is chosen unless somebody chooses. `control`: whether its value changes
    after each run. `folder`: from which folder it offers files, where it lets people upload some.
    """

    name: str
    type: str
    widget: str = ""
    optional: bool = False
    default: Any = None
    first: Any = None
    minimum: int | float | None = None
    maximum: int | float | None = None
    step: int | float | None = None
    round: int | float | None = None
    control: bool | None = None
    forced: bool = False
    socketless: bool = False
    multiline: bool = False
    dynamic: bool = False
    several: bool = False
    remote: bool = False
    refreshed: bool = False
    uploads: bool = False
    folder: str = ""
    batch: bool = False
    display: str = ""


class NodeDefinition(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`inputs` in the order in which they are declared, those that may be left out at the end."""

    title: str = ""
    module: str = ""
    inputs: tuple[InputDefinition, ...] = ()
    outputs: tuple[str, ...] = ()


Definitions: TypeAlias = Mapping[str, NodeDefinition]


def defined(classes: Mapping[str, Any]) -> dict[str, NodeDefinition]:
    """Of each class what it told; one that told nonsense is left out."""
    return {name: told for name, node in classes.items() if (told := _definition(name, node)) is not None}


def _definition(name: str, told: Any) -> NodeDefinition | None:
    try:
        node = convert(told, NodeClass)
    except ValidationError:
        return None
    inputs = []
    for group in ("required", "optional"):
        for key, declared in node.input.get(group, {}).items():
            if not isinstance(declared, list) or not declared:
                return None
            inputs.append(_input(key, declared, optional=group == "optional"))
    return NodeDefinition(
        title=node.display_name or node.name or name,
        module=node.python_module,
        inputs=tuple(inputs),
        outputs=tuple(COMBO if isinstance(each, list) else str(each) for each in node.output),
    )


def _input(name: str, declared: list[Any], *, optional: bool) -> InputDefinition:
    options: dict[str, Any] = declared[1] if len(declared) > 1 and isinstance(declared[1], dict) else {}
    kind = COMBO if isinstance(declared[0], list) else str(declared[0])
    remote = options.get("remote")
    return InputDefinition(
        name=name,
        type=kind,
        widget=_text(options.get("widgetType")),
        optional=optional,
        default=_shared(options.get("default")),
        first=_shared(next(iter(choices(declared) or ()), None)) if kind == COMBO else None,
        minimum=_number(options.get("min")),
        maximum=_number(options.get("max")),
        step=_number(options.get("step")),
        round=_number(options.get("round")),
        control=bool(options["control_after_generate"])
        if options.get("control_after_generate") is not None
        else None,
        forced=bool(options.get("forceInput")),
        socketless=bool(options.get("socketless")),
        multiline=bool(options.get("multiline")),
        dynamic=options.get("dynamicPrompts") is True,
        several=bool(options.get("multi_select")),
        remote=isinstance(remote, dict),
        refreshed=isinstance(remote, dict) and bool(remote.get("refresh_button")),
        uploads=any(
            options.get(key) is True
            for key in ("image_upload", "video_upload", "animated_image_upload", "audio_upload")
        ),
        folder=_text(options.get("image_folder")),
        batch=bool(options.get("allow_batch")),
        display=_text(options.get("display")),
    )


def _shared(value: Any) -> Any:
    """A beginning that may be told to everybody: no file of an account's own, and nothing endless."""
    if isinstance(value, str) and (UPLOADED.match(value) or len(value) > MAX_TEXT):
        return None
    return value if isinstance(value, str | int | float | bool) else None


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
