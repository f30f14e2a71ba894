"""What a real ComfyUI told of its node classes, and what the official frontend made of our drawings."""

import gzip
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from workflows.definitions import NodeDefinition, defined

FOLDER = Path(__file__).parent
OBJECT_INFO = FOLDER / "object_info.json.gz"
"""GET /object_info of ComfyUI 0.3.64, without what people read."""
PROMPTS = FOLDER / "prompts.json.gz"
"""Of each drawing, by its name, what the frontend 1.27.10 sends."""


@cache
def definitions() -> dict[str, NodeDefinition]:
    return defined(classes())


@cache
def classes() -> dict[str, Any]:
    told: dict[str, Any] = msgspec.json.decode(object_info())
    return told


def object_info() -> bytes:
    return gzip.decompress(OBJECT_INFO.read_bytes())


@cache
def prompts() -> dict[str, Any]:
    read: dict[str, Any] = msgspec.json.decode(gzip.decompress(PROMPTS.read_bytes()))
    return read
