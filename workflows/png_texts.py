"""The texts that a PNG carries beside its picture. The picture itself is not looked at.

Source: PNG specification, third edition, 11.3.3: tEXt, zTXt and iTXt.
"""

import zlib
from collections.abc import Iterator

from domain.refusals import FieldError, Invalid

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 100_000


def is_png(body: bytes) -> bool:
    return body.startswith(SIGNATURE)


def png_texts(body: bytes, wanted: frozenset[str], limit_bytes: int) -> dict[str, str]:
    """By keyword; of several with one keyword the last. Raises Invalid for a broken file, or too long a text."""
    found: dict[str, tuple[bytes, bytes]] = {}
    for kind, content in _chunks(body):
        if kind not in (b"tEXt", b"zTXt", b"iTXt"):
            continue
        name, separator, rest = content.partition(b"\0")
        keyword = name.decode("latin-1")
        if separator and keyword in wanted:
            found[keyword] = kind, rest
    return {keyword: _text(*text, limit_bytes) for keyword, text in found.items()}


def _chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        length, kind = int.from_bytes(body[at : at + 4]), body[at + 4 : at + 8]
        end = at + 8 + length
        if len(kind) < 4 or end + 4 > len(body):
            raise _broken("The picture breaks off.")
        if zlib.crc32(body[at + 4 : end]) != int.from_bytes(body[end : end + 4]):
            raise _broken("The picture is damaged.")
        if kind == b"IEND":
            return
        yield kind, body[at + 8 : end]
        at = end + 4
    raise _broken("The picture has too many parts.")


def _text(kind: bytes, rest: bytes, limit_bytes: int) -> str:
    packed, encoding = kind == b"zTXt", "latin-1"
    if kind == b"zTXt":
        method, rest = rest[:1], rest[1:]
    elif kind == b"iTXt":
        encoding = "utf-8"
        packed, method = rest[:1] == b"\1", rest[1:2]
        rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    if packed and method != b"\0":
        raise _broken("A text of the picture is packed in an unknown way.")
    text = _unpacked(rest, limit_bytes) if packed else rest
    if len(text) > limit_bytes:
        raise _broken(f"A text of the picture has more than {limit_bytes} bytes.")
    try:
        return text.decode(encoding)
    except UnicodeDecodeError as error:
        raise _broken("A text of the picture cannot be read.") from error


def _unpacked(packed: bytes, limit_bytes: int) -> bytes:
    """A byte more than allowed is enough to know."""
    try:
        return zlib.decompressobj().decompress(packed, limit_bytes + 1)
    except zlib.error as error:
        raise _broken("A text of the picture cannot be unpacked.") from error


def _broken(reason: str) -> Invalid:
    return Invalid("The picture cannot be read.", FieldError("file", reason))
