"""What a backend has: node classes and where they come from, and the model files its nodes can load."""

import re
from collections.abc import Mapping
from hashlib import sha256

import msgspec
from msgspec import Struct

from domain.ids import Digest
from domain.workflow import Requirements
from workflows.graph import MAX_MODEL_NAME

NODE = "node:"
"""Before a node class, where classes and models stand in one list."""
TAKES_LORAS = "takes:loras"
"""In such a list: uploaded LoRAs, whichever; no folder is called so."""
UPLOADED = re.compile(r"user-[0-9a-fA-F-]{36}[/\\]")
"""Model files below such a folder are accounts' own: brought when they are needed, and nobody else's business."""


class Inventory(Struct, frozen=True, kw_only=True):
    """`node_classes`: each class's Python module. `models`: the files in each models folder, as nodes name them.

    `choices`: what loaders offer beside those files, by the models folder that they choose from. `loaders`: the inputs
    by which its nodes choose files, beyond those that are known without asking. `base_models`: what files tell that
    they were made from, by `folder/name`.
    """

    version: str = ""
    device: str = ""
    vram_bytes: int = 0
    ram_bytes: int = 0
    python_version: str = ""
    pytorch_version: str = ""
    node_classes: dict[str, str] = {}
    models: dict[str, tuple[str, ...]] = {}
    choices: dict[str, tuple[str, ...]] = {}
    loaders: dict[str, dict[str, str]] = {}
    base_models: dict[str, str] = {}
    takes_loras: bool = False
    """Whether its executor sees its models folder, and brings there what accounts have uploaded."""
    described: tuple[Digest, ...] = ()
    """Of what its node classes tell of themselves: documents beside the log."""
    web_files: Digest | None = None
    """Of what its custom nodes bring for the editor: a list of it beside the log."""


class Missing(Struct, frozen=True):
    """What a graph needs and a backend has not: node classes, and models as `folder/name`."""

    node_classes: tuple[str, ...] = ()
    models: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.node_classes or self.models)


_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(Inventory).decode


def written(inventory: Inventory) -> bytes:
    """Equal for equal inventories."""
    return _encode(inventory)


def read(body: bytes) -> Inventory:
    """Raises msgspec.MsgspecError."""
    return _decode(body)


def digest(body: bytes) -> Digest:
    return Digest(sha256(body).hexdigest())


def missing(inventory: Inventory, requirements: Requirements) -> Missing:
    """In alphabetical order. Uploaded models need not be there where they are brought."""
    classes = tuple(name for name in requirements.node_classes if name not in inventory.node_classes)
    models = tuple(
        model
        for model in requirements.models
        if not (inventory.takes_loras if uploaded(model) else _has(inventory, model))
    )
    return Missing(classes, models)


def models_named(inventory: Inventory) -> frozenset[str]:
    """Everything that a requirement may name, as `folder/name`, shortened as requirements are."""
    return frozenset(
        f"{folder}/{name[:MAX_MODEL_NAME]}"
        for group in (inventory.models, inventory.choices)
        for folder, names in group.items()
        for name in names
    )


def uploaded(model: str) -> bool:
    """Whether a requirement names what an account has uploaded."""
    return UPLOADED.match(model.partition("/")[2]) is not None


def wants(requirements: Requirements) -> list[str]:
    """What a run needs, as one list; of what accounts have uploaded, only that there is some."""
    models = [model for model in requirements.models if not uploaded(model)]
    brought = [TAKES_LORAS] if len(models) < len(requirements.models) else []
    return [*(f"{NODE}{name}" for name in requirements.node_classes), *models, *brought]


def _has(inventory: Inventory, model: str) -> bool:
    folder, _, name = model.partition("/")
    return _among(name, inventory.models, folder) or _among(name, inventory.choices, folder)


def _among(name: str, group: Mapping[str, tuple[str, ...]], folder: str) -> bool:
    names = group.get(folder, ())
    return name in names or (len(name) == MAX_MODEL_NAME and any(each.startswith(name) for each in names))
