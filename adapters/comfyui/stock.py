"""A ComfyUI's inventory: out of what it tells of its nodes and its models folders."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct, field

from adapters.comfyui.client import Client
from adapters.comfyui.web_files import WebSeen, web_files
from services.ports.backend import StockTaken
from workflows.descriptions import described, documents
from workflows.families import of_metadata
from workflows.inventory import UPLOADED, Inventory, digest
from workflows.model_inputs import Loaders, folder_of, offering
from workflows.protocol.server import NodeClass, choices

NOT_MODELS = {"configs", "custom_nodes"}
MAX_CLASSES = 20_000
MAX_NAMES = 50_000  # of models, over all folders
MAX_NAME = 500
MAX_ASKED = 2_000  # files, of what they were made from
BASED = ("checkpoints", "diffusion_models", "loras")


class Seen(Struct):
    """What was found out before: what files were made from, and the documents by what does not change in them."""

    base_models: dict[str, str] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    web: WebSeen = field(default_factory=WebSeen)


async def inventory(client: Client, seen: Seen) -> StockTaken:
    """Raises BackendUnavailableError."""
    stats = await client.stats()
    told = await client.object_info()
    models: dict[str, tuple[str, ...]] = {}
    room = MAX_NAMES
    for folder in await client.model_folders():
        if folder not in NOT_MODELS and (names := _usable(await client.models(folder), room)):
            models[folder] = names
            room -= len(names)
    known = await asyncio.to_thread(_classes, told)
    loaders = offering(known, models)
    bodies = await asyncio.to_thread(_documents, {name: told[name] for name in known}, models, loaders, seen)
    taken = Inventory(
        version=stats.system.comfyui_version,
        device=stats.devices[0].name if stats.devices else "",
        vram_bytes=sum(device.vram_total for device in stats.devices if device.type != "cpu"),
        ram_bytes=stats.system.ram_total,
        python_version=stats.system.python_version,
        pytorch_version=stats.system.pytorch_version,
        node_classes={name: node.python_module for name, node in known.items()},
        models=models,
        choices=_choices(known, models, loaders, room),
        loaders=loaders,
        base_models=await _base_models(client, models, seen.base_models),
        described=tuple(map(digest, bodies)),
    )
    return StockTaken(taken, bodies, await web_files(client, seen.web))


def _classes(told: Mapping[str, Any]) -> dict[str, NodeClass]:
    """Without those that tell what makes no sense."""
    known: dict[str, NodeClass] = {}
    for name, each in told.items():
        if _named(name) and len(known) < MAX_CLASSES:
            try:
                known[name] = msgspec.convert(each, NodeClass)
            except msgspec.ValidationError:
                continue
    return known


def _documents(
    told: Mapping[str, Any], models: Mapping[str, tuple[str, ...]], loaders: Loaders, seen: Seen
) -> tuple[bytes, ...]:
    """As they were told before, where nothing has changed but what some classes make up each time."""
    now = dict(documents(described(told, models, loaders)))
    seen.documents = {steady: seen.documents.get(steady, body) for steady, body in now.items()}
    return tuple(seen.documents.values())


async def _base_models(
    client: Client, models: Mapping[str, tuple[str, ...]], seen: dict[str, str]
) -> dict[str, str]:
    """Each file is asked once, as long as this executor runs."""
    names = [f"{folder}/{name}" for folder in BASED for name in models.get(folder, ())][:MAX_ASKED]
    for name in names:
        if name not in seen:
            seen[name] = of_metadata(await client.metadata(*name.split("/", 1)))
    return {name: seen[name] for name in names if seen[name]}


def _choices(
    classes: Mapping[str, NodeClass], models: Mapping[str, tuple[str, ...]], loaders: Loaders, room: int
) -> dict[str, tuple[str, ...]]:
    """What loaders offer that is no file of their folder: built-in names, and files of folders of their own."""
    found: dict[str, dict[str, None]] = {}
    for node_class, node in classes.items():
        for group in ("required", "optional"):
            for name, declared in node.input.get(group, {}).items():
                offered = [each for each in choices(declared) or () if isinstance(each, str)]
                for folder in {folder_of(node_class, name), folder_of(node_class, name, loaders)} - {""}:
                    found.setdefault(folder, {}).update(dict.fromkeys(offered))
    beside = {
        folder: tuple(name for name in _usable(list(names), room) if name not in set(models.get(folder, ())))
        for folder, names in found.items()
    }
    return {folder: names for folder, names in beside.items() if names}


def _usable(names: list[str], room: int) -> tuple[str, ...]:
    """Sorted, without accounts' own."""
    kept = {name for name in names if _named(name) and not UPLOADED.match(name)}
    return tuple(sorted(kept)[:room])


def _named(name: str) -> bool:
    return 0 < len(name) <= MAX_NAME and name.isprintable()
