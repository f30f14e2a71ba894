"""Pictures that a graph loads: by the id or the digest of an uploaded input, resolved to `input:<digest>` at submit.

An executor brings those to the backend, and writes in their place how the backend calls them. Every other name is
the backend's own business.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from domain.ids import Digest

LOADERS = {"LoadImage": "image", "LoadImageMask": "image", "LoadImageOutput": "image"}
"""ComfyUI's own nodes that load an uploaded picture, and the input that names it."""
PREFIX = "input:"
OURS = "comfyplus"
"""What everything begins with that we put into a backend's folders."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def named(graph: Mapping[str, Any]) -> dict[str, str]:
    """What may name an input: node id -> an id or a digest, without the prefix."""
    return {id: value.removeprefix(PREFIX) for id, _, value in _loaded(graph) if _is_id(value)}


def files(graph: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """What names a file in one of ComfyUI's folders: node id -> the input, and the name."""
    return {id: (input, value) for id, input, value in _loaded(graph) if not _is_id(value)}


def with_files(graph: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """`names`: what the nodes load in the place of those, by their ids."""
    return _with(graph, names)


def others(graph: Mapping[str, Any]) -> list[str]:
    """The nodes that load what we have put there for somebody else: outputs of runs, or inputs brought before."""
    return [id for id, _, value in _loaded(graph) if OURS in value.casefold()]


def is_digest(name: str) -> bool:
    return _DIGEST.fullmatch(name) is not None


def resolved(graph: Mapping[str, Any], digests: Mapping[str, Digest]) -> dict[str, Any]:
    """`digests`: of the nodes that load an input."""
    return _with(graph, {id: f"{PREFIX}{digest}" for id, digest in digests.items()})


def referred(graph: Mapping[str, Any]) -> tuple[Digest, ...]:
    """The digests of all inputs that a resolved graph loads."""
    names = (value.removeprefix(PREFIX) for _, _, value in _loaded(graph) if value.startswith(PREFIX))
    return tuple(sorted({Digest(name) for name in names if is_digest(name)}))


def placed(graph: Mapping[str, Any], names: Mapping[Digest, str]) -> dict[str, Any]:
    """`names`: how the backend calls them."""
    found = {}
    for id, _, value in _loaded(graph):
        if value.startswith(PREFIX) and (name := names.get(Digest(value.removeprefix(PREFIX)))) is not None:
            found[id] = name
    return _with(graph, found)


def _is_id(value: str) -> bool:
    name = value.removeprefix(PREFIX)
    return value.startswith(PREFIX) or _DIGEST.fullmatch(name) is not None or _ID.fullmatch(name) is not None


def _loaded(graph: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(node id, input, its value) of each loader whose picture is named."""
    for id, node in graph.items():
        kind = node.get("class_type") if isinstance(node, dict) else None
        input = LOADERS.get(kind) if isinstance(kind, str) else None
        inputs = node.get("inputs") if input is not None else None
        if isinstance(inputs, dict) and isinstance(value := inputs.get(input), str):
            yield id, str(input), value


def _with(graph: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    return {
        id: node | {"inputs": node["inputs"] | {LOADERS[node["class_type"]]: values[id]}}
        if id in values
        else node
        for id, node in graph.items()
    }
