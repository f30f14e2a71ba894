"""Vetting a graph before any backend sees it: only nodes that are let through, no path that leaves its folder,
nobody else's files, and no sizes that would take a machine down.

ComfyUI checks little of this: a picture's name is looked up wherever it leads. Source: COMFYUI nodes.py, LoadImage;
folder_paths.py, annotated_filepath.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from domain.gate import GateRules
from domain.ids import AccountId
from domain.lora import read_path
from workflows.graph import Graph, Node, is_link
from workflows.loras import references
from workflows.texts import texts

OWN_MODULES = ("nodes", "comfy_extras", "sandbox")
"""Where ComfyUI's own nodes come from. Not its API nodes: they send what they get to others, for money."""
RISKY = frozenset(
    {
        *("CheckpointSave", "CLIPSave", "VAESave", "ModelSave", "ImageOnlyCheckpointSave", "LoraSave"),
        *("SaveLoRA", "SaveLoRANode", "TrainLoraNode"),  # write gigabytes that nobody removes
        "LoadImageOutput",  # shows what others have made
        "LoadImageSetFromFolderNode",
        "LoadImageTextSetFromFolderNode",
    }
)
"""ComfyUI's own nodes that are let through only where administrators allow them by name."""
FREE_TEXT = frozenset(
    {
        *("text", "prompt", "positive", "negative", "text_g", "text_l", "clip_l", "clip_g", "t5xxl", "tags"),
        *("lyrics", "string", "string_a", "string_b", "value", "message", "instruction", "system_prompt"),
    }
)
"""Inputs that people write into: a path in them is prose."""
FILES = re.compile(
    r"(^|_)(name|file|filename|filename_prefix|path|folder|dir|directory|image|mask|video|audio|latent)$"
)
SIZES = ("width", "height")
BATCHES = ("batch_size", "batch", "amount")
MAX_REFUSALS = 50

_DRIVE = re.compile(r"^[A-Za-z]:")
_KIND = re.compile(r"\[[^\[\]]*\]\s*$")
_USER = re.compile(r"user-([0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})", re.IGNORECASE)


class Refusal(Struct, frozen=True):
    """Why a node is not let through. `node` is its id in the graph, empty for the graph as a whole."""

    node: str
    node_class: str
    reason: str
    input: str = ""


def let_through(node_class: str, module: str, rules: GateRules) -> bool:
    """Whether a class of this Python module may be executed at all."""
    if node_class in rules.denied:
        return False
    if node_class in rules.allowed:
        return True
    return node_class not in RISKY and module.split(".", 1)[0] in OWN_MODULES


def vet(
    nodes: Graph, *, owner: AccountId, rules: GateRules, modules: Mapping[str, str]
) -> tuple[Refusal, ...]:
    """Everything that speaks against it, as far as there is room. `modules`: of the node classes that are known.

    A class that nobody knows is let through where administrators have not denied it: no backend has it.
    """
    if len(nodes) > rules.nodes:
        return (Refusal("", "", f"The graph has more than {rules.nodes} nodes."),)
    refusals: list[Refusal] = []
    for id, node in nodes.items():
        for refusal in _refusals(id, node, nodes, owner, rules, modules):
            refusals.append(refusal)
            if len(refusals) >= MAX_REFUSALS:
                return tuple(refusals)
    return tuple(refusals)


def _refusals(
    id: str, node: Node, nodes: Graph, owner: AccountId, rules: GateRules, modules: Mapping[str, str]
) -> Iterator[Refusal]:
    name = node.class_type
    known = let_through(name, modules[name], rules) if name in modules else name in rules.allowed
    if name in rules.denied or not (known or (name not in modules and name not in RISKY)):
        yield Refusal(id, name, f"The node {name} is not let through here. An administrator may allow it.")
    loras = {each.name for each in references({id: {"inputs": node.inputs}})}
    for key, value in node.inputs.items():
        if is_link(value):
            continue
        for text in texts(value):
            if text in loras and read_path(text) is not None:
                continue  # found on a shelf, its owner's or one that shares it: commands/lora_references.py
            if (fault := _fault(key, text, owner)) is not None:
                yield Refusal(id, name, fault, key)
                break
    yield from _sizes(id, node, nodes, rules)


def _fault(name: str, text: str, owner: AccountId) -> str | None:
    if "\0" in text:
        return "It holds the NUL character."
    if any(found.lower() != str(owner) for found in _USER.findall(text)):
        return "It names a file of another account."
    if name in FREE_TEXT:
        return None
    plain = text.replace("\\", "/").strip()
    if ".." in plain.split("/") or plain.startswith(("/", "~")) or _DRIVE.match(plain):
        return "It leads out of its folder."
    if FILES.search(name):
        if "\\" in text:
            return "A file's name must not hold a backslash."
        if _KIND.search(text):
            return "It names another folder in brackets."
    return None


def _sizes(id: str, node: Node, nodes: Graph, rules: GateRules) -> Iterator[Refusal]:
    name = node.class_type
    numbers = {key: _number(node.inputs.get(key), nodes) for key in (*SIZES, *BATCHES)}
    for key in SIZES:
        if (side := numbers[key]) is not None and side > rules.side:
            yield Refusal(id, name, f"At most {rules.side} pixels are let through.", key)
    for key in BATCHES:
        if (batch := numbers[key]) is not None and batch > rules.batch:
            yield Refusal(id, name, f"At most {rules.batch} are let through.", key)
    width, height = numbers["width"], numbers["height"]
    if width is not None and height is not None:
        count = max([1.0, *(numbers[key] or 1.0 for key in BATCHES)])
        if width * height * count > rules.pixels:
            yield Refusal(id, name, f"Its pictures have more than {rules.pixels} pixels together.", "width")


def _number(value: Any, nodes: Graph) -> float | None:
    """What an input amounts to, also where a node that is nothing but a number is linked to it."""
    if is_link(value):
        value = nodes[value[0]].inputs.get("value") if value[0] in nodes else None
    if isinstance(value, str):  # ComfyUI makes a number of it
        try:
            value = float(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
