"""Whether a model file is one that could be loaded: the header of safetensors."""

import struct
from pathlib import Path

import msgspec
from msgspec import Struct


class SafetensorError(Exception):
    """A model file that is not a whole safetensors file."""


SafetensorError.__module__ = "safetensors._safetensors_rust"  # the name that clients of the original see


def check_model_file(path: Path) -> None:
    """The header of a safetensors file, and that the tensors it names are there. Raises SafetensorError."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        if len(head) < 8:
            raise SafetensorError("Error while deserializing header: header too small")
        (length,) = struct.unpack("<Q", head)
        if length > min(size, 100_000_000):
            raise SafetensorError("Error while deserializing header: header too large")
        tensors = msgspec.json.decode(file.read(length), type=dict[str, msgspec.Raw])
    ends = [
        msgspec.json.decode(raw, type=_Tensor).data_offsets[1]
        for name, raw in tensors.items()
        if name != "__metadata__"
    ]
    if size != 8 + length + max(ends, default=0):
        raise SafetensorError("Error while deserializing header: incomplete metadata, file not fully covered")


class _Tensor(Struct, frozen=True):
    data_offsets: tuple[int, int]
