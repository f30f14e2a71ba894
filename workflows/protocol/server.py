"""What ComfyUI says of itself: GET /system_stats, /object_info; POST /upload/image."""

from typing import Any

from msgspec import Struct, json


class System(Struct, frozen=True, kw_only=True):
    comfyui_version: str = ""
    python_version: str = ""
    pytorch_version: str = ""
    ram_total: int = 0
    ram_free: int = 0


class Device(Struct, frozen=True, kw_only=True):
    """Memory in bytes."""

    name: str = ""
    type: str = ""
    vram_total: int = 0
    vram_free: int = 0


class SystemStats(Struct, frozen=True, kw_only=True):
    system: System = System()
    devices: tuple[Device, ...] = ()


class NodeClass(Struct, frozen=True, kw_only=True):
    """One class of GET /object_info. An input is `[type or choices, options?]`, read by `choices`."""

    input: dict[str, dict[str, Any]] = {}
    output: tuple[Any, ...] = ()
    output_name: tuple[Any, ...] = ()
    name: str = ""
    display_name: str | None = None
    category: str = ""
    python_module: str = ""
    output_node: bool = False


class Uploaded(Struct, frozen=True):
    """The answer to an upload: `name` may differ from the one that was sent."""

    name: str
    subfolder: str = ""
    type: str = "input"


_stats = json.Decoder(SystemStats)
_classes = json.Decoder(dict[str, NodeClass])
_uploaded = json.Decoder(Uploaded)


def decode_stats(body: bytes) -> SystemStats:
    """Raises msgspec.DecodeError (also for a wrong shape)."""
    return _stats.decode(body)


def decode_classes(body: bytes) -> dict[str, NodeClass]:
    """Raises msgspec.DecodeError (also for a wrong shape). An unknown class gives an empty dict."""
    return _classes.decode(body)


def decode_uploaded(body: bytes) -> Uploaded:
    """Raises msgspec.DecodeError (also for a wrong shape)."""
    return _uploaded.decode(body)


def choices(declared: Any) -> list[Any] | None:
    """The allowed values of one declared input; None where it has no list.

    Both forms occur: `[[...], {...}]` and `["COMBO", {"options": [...]}]`; a remote combo has no list at all.
    """
    match declared:
        case [list(values), *_]:
            return values
        case ["COMBO", {"options": list(values)}, *_]:
            return values
        case _:
            return None
