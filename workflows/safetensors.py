"""The header of a safetensors file, read with distrust: what it promises must be what the file holds.

Eight bytes of length, little-endian, then JSON: names of tensors with dtype, shape and place, and `__metadata__`.
Source: huggingface/safetensors, README "Format"; stricter where ComfyUI or PyTorch would trust what we would not.
"""

import json
import math
import struct
from typing import Any, NoReturn

from msgspec import Struct

from domain.refusals import FieldError, Invalid

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 16 * 2**20  # the largest LoRAs have 2 MB; kohya's tag lists grow it to 5
MAX_TENSORS = 100_000
MAX_NAME = 500
MAX_DIMENSIONS = 8
BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
OTHERS = (
    (b"PK", "a zip archive, as PyTorch writes .pt and .ckpt files: loading those can run code"),
    (b"\x80", "a Python pickle, as in .pt and .bin files: loading those can run code"),
    (b"GGUF", "a GGUF file"),
    (b"<", "a web page; the download that it comes from may have needed a login"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file that it points to"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
)


class Tensor(Struct, frozen=True, gc=False):
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(Struct, frozen=True):
    """`size_bytes`: of the whole file, as the header has it."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    size_bytes: int


def header_end(head: bytes) -> int:
    """Where the header ends, from the first bytes of a file (sixteen, or all there are). Raises Invalid."""
    if len(head) < LENGTH_BYTES + 2:
        _refuse("It is too short to hold anything.")
    length: int = struct.unpack_from("<Q", head)[0]
    looks_right = length <= MAX_HEADER_BYTES and head[LENGTH_BYTES : LENGTH_BYTES + 1] == b"{"
    if not looks_right:
        for magic, what in OTHERS:
            if head.startswith(magic):
                _refuse(f"It is {what}.")
    if length > MAX_HEADER_BYTES:
        _refuse(f"Its header claims {length} bytes; {MAX_HEADER_BYTES} are the most that is read.")
    if length < 2 or not looks_right:
        _refuse("It does not begin with a safetensors header.")
    return LENGTH_BYTES + length


def read_header(header: bytes, size_bytes: int | None = None) -> Header:
    """Check a whole header, with its first eight bytes, against the file's size if that is known. Raises Invalid."""
    if header_end(header[: LENGTH_BYTES + 8]) != len(header):
        _refuse("Its header is cut off.")
    described = _decoded(header[LENGTH_BYTES:])
    metadata = described.pop("__metadata__", {})
    if not _is_metadata(metadata):
        _refuse("Its metadata are not texts.")
    if not described:
        _refuse("It holds no tensors.")
    if len(described) > MAX_TENSORS:
        _refuse(f"It holds more than {MAX_TENSORS} tensors.")
    tensors = {name: _tensor(name, value) for name, value in described.items()}
    promised = len(header) + _covered(tensors)
    if size_bytes is not None and promised != size_bytes:
        what = "cut off" if size_bytes < promised else "longer than it should be"
        _refuse(f"It is {what}: its header promises {promised} bytes, there are {size_bytes}.")
    return Header(tensors, metadata, promised)


def _decoded(body: bytes) -> dict[str, Any]:
    """The standard library's decoder, as it alone tells of keys that come twice."""
    try:
        described = json.loads(
            body.decode("utf-8", "strict"), object_pairs_hook=_unique, parse_constant=_no_number
        )
    except (ValueError, RecursionError) as error:
        raise _refusal("Its header is not valid JSON.") from error
    if not isinstance(described, dict):
        _refuse("Its header is not a JSON object.")
    return described


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        _refuse("Its header names the same thing twice.")
    return made


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)


def _is_metadata(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def _tensor(name: str, value: Any) -> Tensor:
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable() or ".." in name or name.startswith("/"):
        _refuse(f"A tensor has a name that no program gives: {name[:60]!r}.")
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        _refuse(f"The tensor {name[:60]!r} is not described by dtype, shape and data_offsets.")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        _refuse(f"The tensor {name[:60]!r} has a dtype that is not known.")
    if not _are_sizes(shape) or len(shape) > MAX_DIMENSIONS:
        _refuse(f"The tensor {name[:60]!r} has a shape that makes no sense.")
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        _refuse(f"The tensor {name[:60]!r} lies at a place that makes no sense.")
    if math.prod(shape) * BITS[dtype] != (offsets[1] - offsets[0]) * 8:
        _refuse(f"The tensor {name[:60]!r} has another size than its shape says.")
    return Tensor(dtype, tuple(shape), offsets[0], offsets[1])


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(each) is int and 0 <= each < 2**50 for each in values)


def _covered(tensors: dict[str, Tensor]) -> int:
    """The bytes behind the header: each belongs to one tensor, none to two, none to nobody."""
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda each: (each[1].begin, each[1].end)):
        if tensor.begin < end:
            _refuse(f"The tensor {name[:60]!r} overlaps another one.")
        if tensor.begin > end:
            _refuse(f"There is a gap in front of the tensor {name[:60]!r}.")
        end = tensor.end
    return end


def _refusal(reason: str) -> Invalid:
    return Invalid("This is no safetensors file that can be used.", FieldError("file", reason))


def _refuse(reason: str) -> NoReturn:
    raise _refusal(reason)
