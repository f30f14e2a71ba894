"""What people upload beside pictures: sound, films and shapes in three dimensions, each known by its content.

The ending of a file's name and what is in the file must say the same. Nothing of it is decoded.
"""

import re
from collections.abc import Callable, Mapping
from struct import unpack_from
from typing import IO

import msgspec

HEAD_BYTES = 512
STL_HEADER_BYTES, STL_FACET_BYTES = 84, 50
PICTURE = ".png"
TYPES: Mapping[str, str] = {
    PICTURE: "image/png",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
    ".aac": "audio/aac",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".avi": "video/x-msvideo",
    ".glb": "model/gltf-binary",
    ".gltf": "model/gltf+json",
    ".obj": "model/obj",
    ".stl": "model/stl",
    ".fbx": "model/x-fbx",
}
"""By the endings of their names; a browser runs none of them."""
OBJ_LINE = re.compile(
    rb"(#.*|(v|vn|vt|vp|f|l|p|o|g|s|mg|usemtl|mtllib|cstype|deg|curv2?|surf|parm|trim|hole|end)(\s.*)?|\s*)"
)
SOLID, SOLID_ENDS = re.compile(rb"solid\b"), re.compile(rb"\bendsolid\b")


class _Asset(msgspec.Struct, frozen=True):
    version: str


class _Gltf(msgspec.Struct, frozen=True):
    asset: _Asset


def ending_of(media_type: str) -> str:
    """How a backend is to call such a file; a dot and what follows."""
    return next((ending for ending, kind in TYPES.items() if kind == media_type), PICTURE)


def media_type_of(name: str, file: IO[bytes]) -> str | None:
    """None: the file is not what its name says, or is none of these kinds. Reads the file, and rewinds it."""
    stem, dot, rest = name.rpartition(".")
    ending = (dot + rest).lower()
    if not stem or (known := _KNOWN.get(ending)) is None:
        return None
    file.seek(0)
    whole = ending in _WHOLE
    body = file.read() if whole else file.read(HEAD_BYTES)
    size = file.seek(0, 2)
    file.seek(0)
    return TYPES[ending] if known(body, size) else None


def _mp3(head: bytes, size: int) -> bool:
    """A tag, or a frame of a layer, bit rate and sampling rate that there are."""
    if head[:3] == b"ID3":
        return True
    return (
        len(head) > 4
        and head[0] == 0xFF
        and head[1] & 0xE6 == 0xE2
        and head[2] >> 4 not in (0, 15)
        and head[2] & 0x0C != 0x0C
    )


def _ogg(head: bytes, size: int) -> bool:
    first = head[28:36]
    return head[:5] == b"OggS\0" and first.startswith((b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex"))


def _iso(*brands: bytes) -> Callable[[bytes, int], bool]:
    """Of the family of MP4, by the brand that it names first."""
    return lambda head, size: head[4:8] == b"ftyp" and head[8:12].startswith(brands)


def _matroska(kind: bytes) -> Callable[[bytes, int], bool]:
    return lambda head, size: head[:4] == b"\x1a\x45\xdf\xa3" and kind in head[:64]


def _glb(head: bytes, size: int) -> bool:
    return len(head) >= 20 and unpack_from("<4sII", head) == (b"glTF", 2, size)


def _gltf(body: bytes, size: int) -> bool:
    try:
        return msgspec.json.decode(body, type=_Gltf).asset.version.startswith("2.")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def _obj(body: bytes, size: int) -> bool:
    joined = body.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ")
    lines = joined.splitlines()
    return any(line.startswith(b"v ") for line in lines) and all(map(OBJ_LINE.fullmatch, lines))


def _stl(body: bytes, size: int) -> bool:
    if size >= STL_HEADER_BYTES:
        (facets,) = unpack_from("<I", body, STL_HEADER_BYTES - 4)
        if size == STL_HEADER_BYTES + facets * STL_FACET_BYTES:
            return True
    return b"\0" not in body and SOLID.match(body) is not None and SOLID_ENDS.search(body) is not None


_MP4 = _iso(b"isom", b"iso", b"mp4", b"M4V", b"avc1", b"dash", b"MSNV", b"qt  ", b"f4v")
_KNOWN: Mapping[str, Callable[[bytes, int], bool]] = {
    ".wav": lambda head, size: head[:4] == b"RIFF" and head[8:12] == b"WAVE",
    ".mp3": _mp3,
    ".flac": lambda head, size: head[:4] == b"fLaC",
    ".ogg": _ogg,
    ".opus": _ogg,
    ".m4a": _iso(b"M4A", b"M4B", b"mp4", b"isom", b"iso", b"dash"),
    ".aac": lambda head, size: len(head) > 7 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0,
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": _iso(b"qt  "),
    ".webm": _matroska(b"webm"),
    ".mkv": _matroska(b"matroska"),
    ".avi": lambda head, size: head[:4] == b"RIFF" and head[8:12] == b"AVI ",
    ".glb": _glb,
    ".gltf": _gltf,
    ".obj": _obj,
    ".stl": _stl,
    ".fbx": lambda head, size: head[:21] == b"Kaydara FBX Binary  \0",
}
_WHOLE = {".gltf", ".obj", ".stl"}
