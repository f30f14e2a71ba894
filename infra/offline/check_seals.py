"""Check a checkpoint or an exported chain of seals of a ComfyUI Plus log, without that log and without ComfyUI Plus.

    python check_seals.py FILE [--key PUBLIC_KEY]

Needs this file, Python 3.10 or newer, and PyNaCl (`pip install pynacl`). Says what the file proves, exit code 0, or
what is wrong with it, exit code 1. Without --key it shows only that nothing was changed since whoever holds the key
in the file signed it: compare that key with the one you were given.

A checkpoint is one JSON object: log, position, seal, at, public_key, signature. Signed are the bytes

    comfyplus log checkpoint 1 <LF> log <LF> position <LF> seal <LF> at <LF>

A chain is lines of JSON: {"format": "comfyplus seals 2", "log": ...}, then {"first", "last", "digests", "seal", "at"}
for each seal in order, then a checkpoint. Digests are SHA-256, 32 bytes an event; a seal is the SHA-256 of the seal
before (32 zero bytes for the first), its time `at` (8 bytes; old seals have none), and its digests. All bytes are in
hexadecimal.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

FORMATS = ("comfyplus seals 1", "comfyplus seals 2")
SIZE = 32
TIME_SIZES = (0, 8)


class Wrong(Exception):
    """What is wrong with the file."""


def check(path: Path, key: str | None = None) -> str:
    """Returns what the file proves. Raises Wrong, OSError."""
    with path.open("rb") as file:
        text = file.read(1 << 16)
    if b'"format"' not in text.partition(b"\n")[0]:
        checkpoint = read(path.read_bytes(), "The file")
        return f"{check_checkpoint(checkpoint, key)} No chain stands beside it."
    with path.open("rb") as file:
        return check_chain(iter(file), key)


def check_chain(lines: Iterator[bytes], key: str | None = None) -> str:
    header = read(next(lines), "The first line")
    if header.get("format") not in FORMATS:
        raise Wrong("The file is of a format that this program does not know.")
    position, seal, number = 0, bytes(SIZE), 1
    checkpoint: dict[str, Any] = {}
    for number, text in enumerate(lines, 2):
        row = read(text, f"Line {number}")
        if "signature" in row:
            checkpoint = row
            break
        position, seal = link(row, position, seal, number)
    if not checkpoint:
        raise Wrong(f"The signed checkpoint is missing: the file ends behind position {position}.")
    if next(lines, b"").strip():
        raise Wrong(f"Something stands behind the signed checkpoint, in line {number + 1}.")
    proved = check_checkpoint(checkpoint, key)
    if (checkpoint["log"], checkpoint["position"], checkpoint["seal"]) != (
        header.get("log"),
        position,
        seal.hex(),
    ):
        raise Wrong(f"The chain ends at position {position}, but not in what the checkpoint says.")
    return f"{proved} The chain of seals leads there from position 1."


def link(row: dict[str, Any], position: int, seal: bytes, number: int) -> tuple[int, bytes]:
    """The end of the chain with one seal more."""
    try:
        first, last = int(row["first"]), int(row["last"])
        digests, stated = bytes.fromhex(row["digests"]), bytes.fromhex(row["seal"])
        at = bytes.fromhex(row.get("at", ""))
    except (KeyError, TypeError, ValueError) as error:
        raise Wrong(f"Line {number} is no seal.") from error
    if (
        first != position + 1
        or last < first
        or len(digests) != SIZE * (last - position)
        or len(at) not in TIME_SIZES
    ):
        raise Wrong(f"Position {position + 1}: the seal in line {number} does not go on there.")
    if hashlib.sha256(seal + at + digests).digest() != stated:
        raise Wrong(f"Position {first}: the seal in line {number} does not follow from the one before.")
    return last, stated


def check_checkpoint(checkpoint: dict[str, Any], key: str | None = None) -> str:
    try:
        log, position, seal, at = (checkpoint[name] for name in ("log", "position", "seal", "at"))
        public_key, signature = str(checkpoint["public_key"]), bytes.fromhex(checkpoint["signature"])
        message = f"comfyplus log checkpoint 1\n{log}\n{position}\n{seal}\n{at}\n".encode()
        VerifyKey(bytes.fromhex(public_key)).verify(message, signature)
    except BadSignatureError as error:
        raise Wrong("The checkpoint's signature is not good.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise Wrong("This is no checkpoint.") from error
    if key is not None and public_key.lower() != key.strip().lower():
        raise Wrong(f"The checkpoint is signed with another key: {public_key}")
    return (
        f"At {at} the log {log} ended at position {position} with the seal {seal}, signed with {public_key}."
    )


def read(text: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Wrong(f"{where} is not JSON.") from error
    if not isinstance(value, dict):
        raise Wrong(f"{where} is not what it should be.")
    return value


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Check a checkpoint or a chain of seals of a ComfyUI Plus log."
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--key", help="the public key it must be signed with, in hexadecimal")
    asked = parser.parse_args()
    try:
        print(check(asked.file, asked.key))
    except (Wrong, OSError) as error:
        print(f"Not proved. {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
