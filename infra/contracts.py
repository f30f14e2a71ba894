"""`comfyplus export`: the contracts with those outside, as files."""

from pathlib import Path
from typing import Any

import msgspec

from adapters.http.app import described
from adapters.http.contracts import VERSION
from services import contracts


def export(what: str, to: Path | None) -> str:
    """Writes to a file, `schemas` to a folder; returns what is to be printed. Raises OSError."""
    match what:
        case "openapi":
            return _written(described(), to)
        case "asyncapi":
            return _written(contracts.asyncapi(VERSION), to)
        case _:
            return _written(contracts.schemas(), None) if to is None else _one_each(to)


def _one_each(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in contracts.schemas().items():
        (folder / name).write_bytes(_text(schema))
    return f"{len(contracts.schemas())} schemas in {folder}"


def _written(document: Any, to: Path | None) -> str:
    if to is None:
        return _text(document).decode().rstrip()
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_bytes(_text(document))
    return str(to)


def _text(document: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
