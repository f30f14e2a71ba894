"""A ComfyUI's inventory: out of what it tells of its nodes and its models folders."""

from collections.abc import Mapping

from adapters.comfyui.client import Client
from services.ports.backend import StockTaken
from workflows.definitions import defined, written
from workflows.graph import MODEL_INPUTS
from workflows.inventory import UPLOADED, Inventory, digest
from workflows.protocol.server import NodeClass, choices

NOT_MODELS = {"configs", "custom_nodes"}
MAX_CLASSES = 20_000
MAX_NAMES = 50_000  # of models, over all folders
MAX_NAME = 500


async def inventory(client: Client) -> StockTaken:
    """Raises BackendUnavailableError."""
    stats = await client.stats()
    classes = await client.node_classes()
    models: dict[str, tuple[str, ...]] = {}
    room = MAX_NAMES
    for folder in await client.model_folders():
        if folder not in NOT_MODELS and (names := _usable(await client.models(folder), room)):
            models[folder] = names
            room -= len(names)
    known = dict([(name, node) for name, node in classes.items() if _named(name)][:MAX_CLASSES])
    definitions = written(defined(known))
    taken = Inventory(
        version=stats.system.comfyui_version,
        device=stats.devices[0].name if stats.devices else "",
        vram_bytes=sum(device.vram_total for device in stats.devices if device.type != "cpu"),
        node_classes={name: node.python_module for name, node in known.items()},
        models=models,
        choices=_choices(classes, models, room),
        definitions=digest(definitions),
    )
    return StockTaken(taken, definitions)


def _choices(
    classes: Mapping[str, NodeClass], models: Mapping[str, tuple[str, ...]], room: int
) -> dict[str, tuple[str, ...]]:
    """What loaders offer that is no file of their folder: built-in names, and files of folders of their own."""
    found: dict[str, dict[str, None]] = {}
    for node in classes.values():
        for group in ("required", "optional"):
            for name, declared in node.input.get(group, {}).items():
                if (folder := MODEL_INPUTS.get(name)) is None:
                    continue
                offered = [each for each in choices(declared) or () if isinstance(each, str)]
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
