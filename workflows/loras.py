"""LoRAs that a graph names: as people write them, or by the path that they have below a backend's `models/loras`.

ComfyUI's own loaders name one in `lora_name`; what others call the input begins with `lora` as well, and some wrap
it: `{"on": true, "lora": "a.safetensors", "strength": 1}`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from domain.lora import LoraPath, read_path
from workflows.texts import texts

INPUT = re.compile(r"lora(_name)?_?\d*")
OTHERS = re.compile(r"(^|[/\\])user-[0-9a-fA-F-]{36}[/\\]")
"""A path into an account's own folder, written in whatever way."""
CHECKPOINTS = ("ckpt_name", "unet_name")
NOTHING = ("", "None", "none")


class Reference(Struct, frozen=True):
    """Where a graph names a LoRA, and how."""

    node: str
    input: str
    name: str


def references(graph: Mapping[str, Any]) -> list[Reference]:
    return [
        Reference(id, name, found) for id, name, value in _inputs(graph) if (found := _named(name, value))
    ]


def strangers(graph: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(node id, input) of everything else that leads into an account's folder: no loader of ours looks there."""
    known = {(each.node, each.input) for each in references(graph)}
    return [
        (id, name)
        for id, name, value in _inputs(graph)
        if (id, name) not in known and any(OTHERS.search(text) for text in texts(value))
    ]


def paths(graph: Mapping[str, Any]) -> list[LoraPath]:
    """The files that a resolved graph needs, each once."""
    found = {each.name: path for each in references(graph) if (path := read_path(each.name)) is not None}
    return list(found.values())


def resolved(graph: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """`names`: what stands in the place of each."""

    def replaced(name: str, value: Any) -> Any:
        wanted = names.get(_named(name, value) or "")
        if wanted is None:
            return value
        return value | {"lora": wanted} if isinstance(value, dict) else wanted

    return {
        id: node | {"inputs": {name: replaced(name, value) for name, value in node["inputs"].items()}}
        if any(_named(name, value) in names for name, value in node["inputs"].items())
        else node
        for id, node in graph.items()
    }


def checkpoint_of(graph: Mapping[str, Any], node: str) -> str | None:
    """The model file whose weights reach a node's input `model`, where that is plain to see."""
    seen: set[str] = set()
    while node not in seen and node in graph:
        seen.add(node)
        inputs = graph[node]["inputs"]
        for name in CHECKPOINTS:
            if isinstance(inputs.get(name), str):
                return str(inputs[name])
        source = inputs.get("model")
        if not isinstance(source, list) or len(source) != 2 or not isinstance(source[0], str):
            return None
        node = source[0]
    return None


def _inputs(graph: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for id, node in graph.items():
        for name, value in node["inputs"].items():
            yield id, name, value


def _named(input: str, value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("lora") if input.lower().startswith("lora") else None
    elif not INPUT.fullmatch(input):
        return None
    return value if isinstance(value, str) and value not in NOTHING else None
