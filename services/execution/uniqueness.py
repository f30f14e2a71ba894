"""Making a graph unlike any other, so that the backend's shared cache never answers with another's file.

The cache knows nothing of accounts: a node with the same inputs as in the prompt before is not executed again,
and its old files are reported. The names of files are part of the inputs; so is an input that the node does not
know, which it ignores.
"""

from typing import Any

from domain.ids import AttemptId

FOLDER = "comfyplus"
DEFAULT_NAME = "ComfyUI"
MARK = "comfyplus_attempt"
MAX_NAME = 100
MAX_DEPTH = 6  # folders and the name
MAX_FOLDER = 600
_FORBIDDEN = frozenset(':*?"<>|')


def unique(graph: dict[str, Any], attempt: AttemptId) -> dict[str, Any]:
    """The graph with every saved file inside a folder of the attempt, and every other last node marked."""
    linked = {
        value[0]
        for node in graph.values()
        for value in _inputs(node).values()
        if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)
    }
    return {
        name: _own(node, attempt, last=name not in linked) if isinstance(node, dict) else node
        for name, node in graph.items()
    }


def within(subfolder: str, attempt: AttemptId) -> str:
    """A folder that a backend reports, as the graph's author knows it: without ours before it."""
    parts = [part for part in subfolder.replace("\\", "/").split("/") if _kept(part)]
    if parts[:2] == [FOLDER, str(attempt)]:
        parts = parts[2:]
    return "/".join(map(_kept, parts))[:MAX_FOLDER]


def _own(node: dict[str, Any], attempt: AttemptId, *, last: bool) -> dict[str, Any]:
    inputs = _inputs(node)
    if "filename_prefix" in inputs:
        prefix = f"{FOLDER}/{attempt}/{_inside(inputs['filename_prefix'])}"
        return node | {"inputs": inputs | {"filename_prefix": prefix}}
    if last and "inputs" in node:
        return node | {"inputs": inputs | {MARK: str(attempt)}}
    return node


def _inputs(node: Any) -> dict[str, Any]:
    inputs = node.get("inputs") if isinstance(node, dict) else None
    return inputs if isinstance(inputs, dict) else {}


def _inside(prefix: Any) -> str:
    """A prefix that stays in its folder. A linked one is known too late to be trusted: it gets the usual name."""
    if not isinstance(prefix, str):
        return DEFAULT_NAME
    parts: list[str] = []
    for part in prefix.replace("\\", "/").split("/"):
        if part == "..":
            parts = parts[:-1]
        elif kept := _kept(part):
            parts.append(kept)
    return "/".join(parts[-MAX_DEPTH:]) or DEFAULT_NAME


def _kept(part: str) -> str:
    kept = "".join(letter for letter in part if letter.isprintable() and letter not in _FORBIDDEN)
    return kept.strip(". ")[:MAX_NAME]
