"""Files that a graph loads: by the id or the digest of an uploaded input, resolved to `input:<digest>` at submit.

What is no picture has the ending of its kind behind the digest: `input:<digest>.wav`. An executor brings those to the
backend, and writes in their place how the backend calls them. Every other name is the backend's own business.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from domain.ids import Digest
from workflows.media import PICTURE, TYPES

PICTURE_LOADERS = {"LoadImage": "image", "LoadImageMask": "image", "LoadImageOutput": "image"}
LOADERS = PICTURE_LOADERS | {
    "LoadAudio": "audio",
    "LoadVideo": "file",
    "Load3D": "model_file",
    "Load3DAnimation": "model_file",
}
"""ComfyUI's own nodes that load an uploaded file, and the input that names it."""
VIEWS = ("image", "mask", "normal", "lineart")
RECORDING = "recording"
SEEN = {"Load3D": "image", "Load3DAnimation": "image"}
"""Their inputs that name pictures of what the editor shows, and a film of it, in an object."""
KINDS = {"LoadAudio": ("audio/", "video/"), "LoadVideo": ("video/",)} | dict.fromkeys(SEEN, ("model/",))
PICTURES = ("image/",)
PREFIX = "input:"
OURS = "comfyplus"
"""What everything begins with that we put into a backend's folders."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Place(NamedTuple):
    """Where a graph names a file: a node and its input, and the key where that is an object."""

    node: str
    input: str
    key: str = ""


class Loaded(NamedTuple):
    """`kinds`: what the media type of the file must begin with, for its node to load it."""

    name: str
    kinds: tuple[str, ...]


def named(graph: Mapping[str, Any]) -> dict[Place, Loaded]:
    """What may name an input, by an id or a digest, without the prefix and the ending."""
    return {
        place: each._replace(name=each.name.removeprefix(PREFIX).partition(".")[0])
        for place, each in _loaded(graph)
        if _is_id(each.name)
    }


def files(graph: Mapping[str, Any]) -> dict[Place, Loaded]:
    """What names a file in one of ComfyUI's folders."""
    return {place: each for place, each in _loaded(graph) if not _is_id(each.name)}


def with_files(graph: Mapping[str, Any], names: Mapping[Place, str]) -> dict[str, Any]:
    """`names`: what the nodes load in the place of those."""
    found = dict(graph)
    for (node, input, key), name in names.items():
        inputs = found[node]["inputs"]
        value = inputs[input] | {key: name} if key else name
        found[node] = found[node] | {"inputs": inputs | {input: value}}
    return found


def others(graph: Mapping[str, Any]) -> list[str]:
    """The nodes that load what we have put there for somebody else: outputs of runs, or inputs brought before."""
    return list(dict.fromkeys(place.node for place, each in _loaded(graph) if OURS in each.name.casefold()))


def is_digest(name: str) -> bool:
    return _DIGEST.fullmatch(name) is not None


def resolved(
    graph: Mapping[str, Any], digests: Mapping[Place, Digest], endings: Mapping[Digest, str] | None = None
) -> dict[str, Any]:
    """`digests`: of the inputs that are loaded. `endings`: of those that are no pictures."""
    known = endings or {}
    return with_files(
        graph, {place: f"{PREFIX}{each}{known.get(each, '')}" for place, each in digests.items()}
    )


def referred(graph: Mapping[str, Any]) -> dict[Digest, str]:
    """The digests of all inputs that a resolved graph loads, and the endings of their names."""
    found: dict[Digest, str] = {}
    for _, each in sorted(_loaded(graph), key=lambda loaded: loaded[1].name):
        digest, _, ending = each.name.removeprefix(PREFIX).partition(".")
        if each.name.startswith(PREFIX) and is_digest(digest) and f".{ending or PICTURE[1:]}" in TYPES:
            found[Digest(digest)] = f".{ending}" if ending else PICTURE
    return found


def placed(graph: Mapping[str, Any], names: Mapping[Digest, str]) -> dict[str, Any]:
    """`names`: how the backend calls them."""
    found = {}
    for place, each in _loaded(graph):
        digest = each.name.removeprefix(PREFIX).partition(".")[0]
        if each.name.startswith(PREFIX) and (name := names.get(Digest(digest))) is not None:
            found[place] = name
    return with_files(graph, found)


def _is_id(value: str) -> bool:
    name = value.removeprefix(PREFIX)
    return value.startswith(PREFIX) or _DIGEST.fullmatch(name) is not None or _ID.fullmatch(name) is not None


def _loaded(graph: Mapping[str, Any]) -> Iterator[tuple[Place, Loaded]]:
    """Each place where a loader names a file."""
    for id, node in graph.items():
        kind = node.get("class_type") if isinstance(node, dict) else None
        inputs = node.get("inputs") if isinstance(kind, str) and kind in LOADERS else None
        if not isinstance(inputs, dict) or not isinstance(kind, str):
            continue
        input = LOADERS[kind]
        if isinstance(value := inputs.get(input), str):
            yield Place(id, input), Loaded(value, KINDS.get(kind, PICTURES))
        seen = SEEN.get(kind, "")
        if isinstance(views := inputs.get(seen), dict):
            for key in (*VIEWS, RECORDING):
                if isinstance(value := views.get(key), str) and value:
                    yield Place(id, seen, key), Loaded(value, ("video/",) if key == RECORDING else PICTURES)
