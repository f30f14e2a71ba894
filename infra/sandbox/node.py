"""What a node class is: its declared inputs and outputs, and the function that computes it."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from msgspec import Struct
from PIL.Image import Image

from infra.sandbox.folders import Folders

Images: TypeAlias = tuple[Image, ...]
"""The values of type IMAGE (mode RGB) and MASK (mode L): batches."""

Values: TypeAlias = dict[str, Any]
"""A node's inputs by name: what they are depends on the class."""

Choices: TypeAlias = Callable[[Folders], list[str]]


class InterruptedRunError(Exception):
    """Somebody asked for the running prompt to be stopped."""


class Call(Protocol):
    """What a running node may use besides its inputs."""

    folders: Folders
    graph: Any
    png_texts: dict[str, Any]
    preview_every: int

    def progress(self, value: int, of: int, preview: Image | None = None) -> None:
        """Tell how far the node is. Raises InterruptedRunError."""

    def pause(self, seconds: float) -> None:
        """Take time. Raises InterruptedRunError."""

    def text(self, text: str) -> None:
        """Show a progress text."""


class Result(Struct, frozen=True):
    """`values` by slot; `shown` is what the node reports as its output, None where it reports nothing."""

    values: tuple[Any, ...] = ()
    shown: dict[str, Any] | None = None


class Input(Struct, frozen=True):
    """`kind` is a type's name, a fixed list, or a function that lists what there is now."""

    kind: str | tuple[str, ...] | Choices
    options: dict[str, Any] = {}
    newer_form: bool = False
    """Declared as `["COMBO", {"options": [...]}]` in place of `[[...], {...}]`."""

    def resolved(self, folders: Folders) -> str | list[str]:
        if isinstance(self.kind, str):
            return self.kind
        return list(self.kind) if isinstance(self.kind, tuple) else self.kind(folders)

    def declared(self, folders: Folders) -> list[Any]:
        kind = self.resolved(folders)
        if self.newer_form:
            return ["COMBO", {"multiselect": False, "options": kind} | self.options]
        return [kind, self.options] if self.options else [kind]


class NodeClass(Struct, frozen=True, kw_only=True):
    """`shows`: an output node. `check` refuses an input with a reason. `fingerprint` changes as files do."""

    name: str
    run: Callable[[Call, Values], Result]
    required: dict[str, Input] = {}
    optional: dict[str, Input] = {}
    outputs: tuple[str, ...] = ()
    shows: bool = False
    title: str = ""
    category: str = "image"
    check: tuple[str, Callable[[Folders, Any], str | None]] | None = None
    fingerprint: Callable[[Folders, Values], str] | None = None

    def described(self, folders: Folders) -> dict[str, Any]:
        """As GET /object_info shows it."""
        groups = {"required": self.required} | ({"optional": self.optional} if self.optional else {})
        inputs: dict[str, Any] = {
            group: {name: declared.declared(folders) for name, declared in members.items()}
            for group, members in groups.items()
        }
        if self.shows:
            inputs["hidden"] = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}
        return {
            "input": inputs,
            "input_order": {group: list(members) for group, members in inputs.items()},
            "output": list(self.outputs),
            "output_is_list": [False] * len(self.outputs),
            "output_name": list(self.outputs),
            "name": self.name,
            "display_name": self.title or self.name,
            "description": "",
            "python_module": "sandbox" if self.name.startswith("Sandbox") else "nodes",
            "category": self.category,
            "output_node": self.shows,
        }


def file_fingerprint(path: Path) -> str:
    """Changes with the file's content."""
    return sha256(path.read_bytes()).hexdigest()


def catalogue(classes: Sequence[NodeClass]) -> dict[str, NodeClass]:
    return {node.name: node for node in classes}
