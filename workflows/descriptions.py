"""What node classes tell of themselves, whole, but for the files that they offer: those differ from account to account.

A backend's classes come in several such documents, so that a change in one of them is a small one, and what many
backends have is kept once. Source: ComfyUI server.py, node_info; GET /object_info.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from workflows.gate import OWN_MODULES
from workflows.inputs import OURS
from workflows.inventory import UPLOADED
from workflows.model_inputs import Loaders, folder_of
from workflows.protocol.declared import CHECKS, UPLOADS
from workflows.protocol.server import choices

GROUPS = ("required", "optional")
INPUTS = "input/"
"""Before what people upload, where its folder stands beside models folders; none of those is called so."""
KINDS = dict(zip(UPLOADS, ("image", "video", "image", "audio", "file"), strict=True))
MAX_DOCUMENT_BYTES = 2 << 20

Told: TypeAlias = Mapping[str, Any]
"""Of one class."""


class Place(Struct, frozen=True, omit_defaults=True):
    """Where a folder's files stand among an input's choices, from which they were taken out.

    `whole`: all of them stand there; else those that are listed are some of that folder's, and are left where they are.
    """

    folder: str
    at: int = 0
    whole: bool = True


class Description(Struct, frozen=True):
    """`files`: by class and input."""

    classes: dict[str, dict[str, Any]]
    files: dict[str, dict[str, Place]]


_encode = msgspec.json.Encoder().encode  # inputs stand in the order in which editors show them
_sorted = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(Description).decode


def described(
    told: Mapping[str, Told], models: Mapping[str, Sequence[str]], loaders: Loaders | None = None
) -> Description:
    """Without what accounts have uploaded to that backend, and without the names of model files."""
    found = Description({}, {})
    for name, each in told.items():
        try:
            clean = _scrubbed(each)
        except RecursionError:
            continue
        places = {}
        for input, entry in _inputs(clean):
            if (place := _taken_out(name, clean, input, entry, models, loaders)) is not None:
                places[input] = place
        found.classes[name] = clean
        if places:
            found.files[name] = places
    return found


def documents(description: Description) -> Iterator[tuple[str, bytes]]:
    """In pieces: by whose classes they are, and by size. Each with what stays the same while nothing really changes."""
    packs: dict[str, list[str]] = {}
    for name, told in description.classes.items():
        packs.setdefault(_pack(told), []).append(name)
    for names in packs.values():
        yield from _pieces(description, names)


def read(body: bytes) -> Description:
    """Raises msgspec.MsgspecError, RecursionError."""
    return _decode(body)


def filled(description: Description, files: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
    """The classes with these files, by folder, in their places."""
    found = dict(description.classes)
    for name, places in description.files.items():
        if name in found:
            put = {input: files.get(place.folder, ()) for input, place in places.items() if place.whole}
            found[name] = _with_files(found[name], places, put)
    return found


def with_choices(told: Told, put: Mapping[str, Any]) -> dict[str, Any]:
    """A class with other choices at these inputs. They may be anything that can be written as JSON."""
    inputs = told.get("input")
    if not isinstance(inputs, dict):
        return dict(told)
    inputs = dict(inputs)
    for group in GROUPS:
        if isinstance(members := inputs.get(group), dict):
            inputs[group] = {
                name: _chosen(entry, put[name]) if name in put else entry for name, entry in members.items()
            }
    return {**told, "input": inputs}


def inputs_of(told: Told) -> Iterator[tuple[str, list[Any]]]:
    """Those that offer choices, with these."""
    for name, entry in _inputs(told):
        if (offered := choices(entry)) is not None:
            yield name, offered


def _with_files(told: Told, places: Mapping[str, Place], put: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    offered = dict(inputs_of(told))
    return with_choices(
        told,
        {
            name: [*offered[name][: places[name].at], *files, *offered[name][places[name].at :]]
            for name, files in put.items()
            if name in offered
        },
    )


def _chosen(entry: Any, offered: Any) -> Any:
    match entry:
        case [list(), *rest]:
            return [offered, *rest]
        case [kind, {"options": list()} as options, *rest]:
            return [kind, {**options, "options": offered}, *rest]
        case _:
            return entry


def _inputs(told: Told) -> Iterator[tuple[str, Any]]:
    groups = told.get("input")
    for group in GROUPS:
        members = groups.get(group) if isinstance(groups, dict) else None
        if isinstance(members, dict):
            yield from members.items()


def _taken_out(
    node_class: str,
    told: Told,
    name: str,
    entry: Any,
    models: Mapping[str, Sequence[str]],
    loaders: Loaders | None,
) -> Place | None:
    """Empties the choices of what will be put there again for each account."""
    offered = choices(entry)
    if offered is None:
        return None
    options = entry[1] if len(entry) > 1 and isinstance(entry[1], dict) else {}
    if (kind := _uploads(node_class, name, options)) is not None:
        options.pop("default", None)
        offered.clear()
        return Place(f"{INPUTS}{kind}") if kind else None
    if not (folder := folder_of(node_class, name, loaders)):
        return None
    files = set(models.get(folder, ()))
    if not files.issubset(each for each in offered if isinstance(each, str)):
        return Place(folder, whole=False)
    if not files and _pack(told) not in OWN_MODULES:
        return None  # its choices may come from somewhere else
    at = next((place for place, each in enumerate(offered) if each in files), None)
    offered[:] = [each for each in offered if not isinstance(each, str) or each not in files]
    if isinstance(options.get("default"), str) and options["default"] in files:
        del options["default"]
    return Place(folder, (len(offered) if _is_none(offered) else 0) if at is None else at)


def _uploads(node_class: str, name: str, options: Mapping[str, Any]) -> str | None:
    """What of it people upload; empty: it offers files of other folders. None: no such input."""
    flagged = next((kind for key, kind in KINDS.items() if options.get(key) is True), None)
    if flagged is None:
        return "other" if (node_class, name) in CHECKS else None
    return flagged if options.get("image_folder", "input") == "input" else ""


def _is_none(offered: Sequence[Any]) -> bool:
    """Whether the choices are a word for no file: files come after it."""
    return len(offered) == 1 and str(offered[0]).casefold() in ("none", "", "default", "[none]")


def _scrubbed(value: Any) -> Any:
    """A copy without the names of what we have brought there for somebody."""
    if isinstance(value, dict):
        return {key: _scrubbed(each) for key, each in value.items() if not _private(each)}
    if isinstance(value, list):
        return [_scrubbed(each) for each in value if not _private(each)]
    return value


def _private(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    return UPLOADED.match(value) is not None or value.startswith((f"{OURS}-", f"{OURS}/", f"{OURS}\\"))


def _pack(told: Told) -> str:
    """Whose class it is: ComfyUI's own, or of which of those that others have made."""
    module = told.get("python_module")
    parts = module.split(".") if isinstance(module, str) else [""]
    return ".".join(parts[:2]) if parts[0] == "custom_nodes" else parts[0]


def _pieces(description: Description, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    part = Description(
        {name: description.classes[name] for name in names},
        {name: description.files[name] for name in names if name in description.files},
    )
    body = _encode(part)
    if len(body) <= MAX_DOCUMENT_BYTES or len(names) == 1:
        yield sha256(_sorted(_steady(msgspec.to_builtins(part)))).hexdigest(), body
        return
    half = len(names) // 2
    yield from _pieces(description, names[:half])
    yield from _pieces(description, names[half:])


def _steady(value: Any) -> Any:
    """Without what some classes make up each time they are asked: what begins in a field, and the order of choices."""
    if isinstance(value, dict):
        return {key: _steady(each) for key, each in value.items() if key != "default"}
    if isinstance(value, list):
        found = [_steady(each) for each in value]
        return sorted(found) if all(isinstance(each, str) for each in found) else found
    return value
