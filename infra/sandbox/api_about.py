"""The routes by which the server tells of itself: node classes, models, system, features."""

import os
import struct
import sys
from mimetypes import guess_type
from pathlib import Path
from typing import Any

from msgspec import json

from infra.sandbox.folders import MODEL_FOLDERS
from infra.sandbox.http import Request, Response, ok
from infra.sandbox.sockets import FEATURES
from infra.sandbox.state import Sandbox

VERSION = "0.3.64"  # the ComfyUI whose behaviour was recorded
WEB = "web"
MEMORY_BYTES = 8 * 1024**3


def get_object_info(sandbox: Sandbox, request: Request) -> Response:
    return ok({name: node.described(sandbox.folders) for name, node in sandbox.nodes.items()})


def get_object_info_of(sandbox: Sandbox, request: Request) -> Response:
    node = sandbox.nodes.get(request.parts[1])
    return ok({node.name: node.described(sandbox.folders)} if node else {})


def get_models(sandbox: Sandbox, request: Request) -> Response:
    return ok(MODEL_FOLDERS)


def get_models_in(sandbox: Sandbox, request: Request) -> Response:
    names = sandbox.folders.models(request.parts[1])
    return Response(404) if names is None else ok(names)


def get_embeddings(sandbox: Sandbox, request: Request) -> Response:
    return ok([name.rpartition(".")[0] for name in sandbox.folders.models("embeddings") or []])


def get_view_metadata(sandbox: Sandbox, request: Request) -> Response:
    """What a model file says of itself; 404 where it says nothing."""
    path = sandbox.folders.model_path(request.parts[1], request.query.get("filename", ""))
    if not path.is_file() or path.suffix != ".safetensors" or ".." in path.parts:
        return Response(404)
    return _metadata(path)


def _metadata(path: Path) -> Response:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))  # an empty file is a 500, as in the original
        header: Any = json.decode(file.read(length)) if length < 100_000_000 else {}
    return ok(header["__metadata__"]) if "__metadata__" in header else Response(404)


def get_features(sandbox: Sandbox, request: Request) -> Response:
    return ok(FEATURES)


def get_system_stats(sandbox: Sandbox, request: Request) -> Response:
    memory = {"vram_total": MEMORY_BYTES, "vram_free": MEMORY_BYTES}
    return ok(
        {
            "system": {
                "os": os.name,
                "ram_total": MEMORY_BYTES,
                "ram_free": MEMORY_BYTES,
                "comfyui_version": VERSION,
                "python_version": sys.version,
                "pytorch_version": "none",
                "embedded_python": False,
                "argv": ["infra.sandbox"],
            },
            "devices": [
                {
                    "name": "sandbox",
                    "type": "cpu",
                    "index": None,
                    **memory,
                    "torch_vram_total": MEMORY_BYTES,
                    "torch_vram_free": MEMORY_BYTES,
                }
            ],
        }
    )


def get_extensions(sandbox: Sandbox, request: Request) -> Response:
    """The scripts of custom nodes: what lies in folders below `web`, one for each pack."""
    root = sandbox.folders.base / WEB
    return ok([f"/extensions/{path.relative_to(root).as_posix()}" for path in sorted(root.glob("*/**/*.js"))])


def get_extension(sandbox: Sandbox, request: Request) -> Response:
    path = sandbox.folders.base.joinpath(WEB, *request.parts[1:])
    if ".." in request.parts or not path.is_file():
        return Response(404)
    return Response(200, path.read_bytes(), guess_type(path.name)[0])


def get_nothing(sandbox: Sandbox, request: Request) -> Response:
    """What custom nodes would bring."""
    return ok({})


def get_model_folders(sandbox: Sandbox, request: Request) -> Response:
    return ok([{"name": name, "folders": []} for name in MODEL_FOLDERS])
