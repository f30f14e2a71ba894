"""Node classes as GET /object_info tells of them: as much of it as judging a graph needs.

What a class checks by itself is not told. Of ComfyUI's own classes it is known; a class of somebody else's may check
any input that has choices, and any link: only its backend knows.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from msgspec import Struct

from workflows.gate import OWN_MODULES

Classes: TypeAlias = Mapping[str, Mapping[str, Any]]
"""By name, each as /object_info/{class} has it."""

CHECKS = {
    ("LoadLatent", "latent"),
    ("LoadVideo", "file"),
    ("LoadImageSetFromFolderNode", "images"),
}
"""Their inputs that they look at themselves, beside those that offer uploaded files."""
UPLOADS = ("image_upload", "video_upload", "animated_image_upload", "audio_upload", "file_upload")


class DeclaredInput(Struct, frozen=True):
    """`kind`: a type's name, or the values to choose from. `checked`: the class may look at it by itself."""

    name: str
    kind: Any
    options: Mapping[str, Any]
    required: bool
    checked: bool

    @property
    def config(self) -> list[Any]:
        return [self.kind, self.options]


class DeclaredClass(Struct, frozen=True):
    """`links_checked`: it may take what its inputs' types do not allow."""

    inputs: tuple[DeclaredInput, ...]
    outputs: tuple[Any, ...]
    links_checked: bool


def declared(name: str, told: Mapping[str, Any]) -> DeclaredClass:
    """Nothing is trusted: whatever makes no sense is as if it was not told."""
    foreign = str(told.get("python_module", "")).split(".", 1)[0] not in OWN_MODULES
    groups = _mapping(told.get("input"))
    inputs: dict[str, DeclaredInput] = {}
    for group in ("required", "optional"):
        for key, entry in _mapping(groups.get(group)).items():
            inputs.setdefault(key, _input(name, key, entry, required=group == "required", foreign=foreign))
    outputs = told.get("output")
    return DeclaredClass(
        inputs=tuple(inputs.values()),
        outputs=tuple(outputs) if isinstance(outputs, list | tuple) else (),
        links_checked=foreign,
    )


def is_output(told: Mapping[str, Any]) -> bool:
    return told.get("output_node") is True


def uploads(options: Mapping[str, Any]) -> bool:
    """Whether people may upload what such an input offers."""
    return any(options.get(key) is True for key in UPLOADS)


def _input(node_class: str, name: str, entry: Any, *, required: bool, foreign: bool) -> DeclaredInput:
    parts = entry if isinstance(entry, list | tuple) else []
    kind = parts[0] if parts else "*"
    options = _mapping(parts[1]) if len(parts) > 1 else {}
    own = (node_class, name) in CHECKS or uploads(options)
    return DeclaredInput(name, kind, options, required, own or (foreign and isinstance(kind, list)))


def _mapping(told: Any) -> Mapping[str, Any]:
    return told if isinstance(told, Mapping) else {}
