"""LoRA files of every kind, good and bad, made byte by byte."""

import json
import struct
from typing import Any

SDXL = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"


def packed(header: Any, data: bytes = b"") -> bytes:
    """A file with this header, right or wrong."""
    body = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(body)) + body + data


def lora(
    *, mark: int = 0, width: int = 2048, rank: int = 4, metadata: dict[str, str] | None = None, extra: int = 0
) -> bytes:
    """A LoRA as kohya writes them, for SDXL unless `width` says else; `mark` makes it one of its own.

    `extra`: so many bytes more, in a tensor of their own.
    """
    down, up = 2 * rank * width, 2 * 640 * rank
    tensors: dict[str, Any] = {
        f"{SDXL}.lora_down.weight": {"dtype": "F16", "shape": [rank, width], "data_offsets": [0, down]},
        f"{SDXL}.lora_up.weight": {"dtype": "F16", "shape": [640, rank], "data_offsets": [down, down + up]},
        f"{SDXL}.alpha": {"dtype": "I64", "shape": [], "data_offsets": [down + up, down + up + 8]},
    }
    end = down + up + 8
    if extra:
        tensors["extra.lora_up.weight"] = {
            "dtype": "U8",
            "shape": [extra],
            "data_offsets": [end, end + extra],
        }
    if metadata is not None:
        tensors["__metadata__"] = metadata
    return packed(tensors, bytes(down + up) + struct.pack("<q", mark) + bytes(extra))


def one(**changes: Any) -> dict[str, Any]:
    """A header of one tensor of eight bytes."""
    return {"a": {"dtype": "F16", "shape": [2, 2], "data_offsets": [0, 8]} | changes}


TWICE = b'{"a":{"dtype":"F16","shape":[4],"data_offsets":[0,8]},"a":{"dtype":"F16","shape":[4],"data_offsets":[0,8]}}'
WRONG: dict[str, bytes] = {
    "a pickle": b"\x80\x02}q\x00(X\x05\x00\x00\x00stateq\x01}q\x02u." + bytes(100),
    "a zip": b"PK\x03\x04\x14\x00\x00\x00\x08\x00" + bytes(100),
    "gguf": b"GGUF\x03\x00\x00\x00" + bytes(100),
    "a web page": b"<!DOCTYPE html><html><body>Please log in</body></html>",
    "nothing": b"",
    "eight bytes": struct.pack("<Q", 2),
    "zeros": bytes(4096),
    "a header of 1 TB": struct.pack("<Q", 2**40) + b"{" + bytes(100),
    "the largest header there is": b"\xff" * 8 + b"{" + bytes(100),
    "a truncated header": struct.pack("<Q", 5000) + b'{"a":' + bytes(20),
    "truncated data": packed(one(), bytes(7)),
    "more data than promised": packed(one(), bytes(9)),
    "no JSON": packed(b'{"a": nothing}', bytes(8)),
    "no object": packed(b"{}" + b" " * 10),
    "a list": packed(b"[1, 2, 3]", bytes(8)),
    "not UTF-8": packed(b'{"\xff\xfe": {}}'),
    "deep nesting": packed(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "an endless number": packed(
        b'{"a":{"dtype":"F16","shape":[' + b"9" * 10_000 + b'],"data_offsets":[0,8]}}', bytes(8)
    ),
    "a key twice": packed(TWICE, bytes(8)),
    "overlapping tensors": packed(
        {
            "a": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]},
            "b": {"dtype": "F16", "shape": [4], "data_offsets": [4, 12]},
        },
        bytes(12),
    ),
    "the same place twice": packed(
        {
            "a": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]},
            "b": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]},
        },
        bytes(8),
    ),
    "a gap": packed(
        {
            "a": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]},
            "b": {"dtype": "F16", "shape": [4], "data_offsets": [16, 24]},
        },
        bytes(24),
    ),
    "a gap in front": packed(one(data_offsets=[8, 16]), bytes(16)),
    "out of range": packed(one(data_offsets=[0, 2**40], shape=[2**39]), bytes(8)),
    "offsets backward": packed(one(data_offsets=[8, 0]), bytes(8)),
    "negative offsets": packed(one(data_offsets=[-8, 0]), bytes(8)),
    "an offset that is true": packed(one(data_offsets=[False, 8]), bytes(8)),
    "an unknown dtype": packed(one(dtype="OBJECT"), bytes(8)),
    "a shape of another size": packed(one(shape=[3, 2]), bytes(8)),
    "a negative shape": packed(one(shape=[-2, -2]), bytes(8)),
    "a shape beyond 64 bits": packed(one(shape=[2**40, 2**40]), bytes(8)),
    "an unknown field": packed(one(code="import os"), bytes(8)),
    "a name with NUL": packed({"a\x00b": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]}}, bytes(8)),
    "a name that climbs": packed(
        {"../../etc/passwd": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]}}, bytes(8)
    ),
    "metadata of numbers": packed(one() | {"__metadata__": {"a": 1}}, bytes(8)),
}
