"""What custom nodes bring for the editor: scripts, and what those load. Kept in pieces, by their digests.

Source: ComfyUI server.py, GET /extensions; nodes.py, EXTENSION_WEB_DIRS.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import msgspec
from msgspec import Struct

from domain.ids import Digest

FOLDER = "/extensions/"
NOT_OURS = ("core", "comfyui-manager", "comfyui_manager")
"""ComfyUI's own scripts come with the editor; and nobody installs anything from here."""
PIECE_BYTES = 512 * 1024  # packed, one has to fit into a message, also where it cannot be packed
MAX_FILE_BYTES = 8 << 20
MAX_PATH = 500
MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".html": "text/plain; charset=utf-8",  # read by scripts; opened by itself it must not be a page of ours
    ".txt": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
    ".ico": "image/x-icon",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".ttf": "font/ttf",
    ".wasm": "application/wasm",
    ".mp3": "audio/mpeg",
}
SCRIPTS = (".js", ".mjs")
TEXTS = (*SCRIPTS, ".css")
"""Which may name further files."""

_ENDINGS = "|".join(ending[1:] for ending in MEDIA_TYPES)
_NAMED = re.compile(rf"""["'`(]([^"'`()<>\s${{}}\\]{{1,200}}\.(?:{_ENDINGS}))(?=["'`)?#])""")


class WebFile(Struct, frozen=True):
    pieces: tuple[Digest, ...]
    size_bytes: int


WebFiles: TypeAlias = Mapping[str, WebFile]
"""By path below `/extensions/`, decoded."""

_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(dict[str, WebFile]).decode


def written(files: WebFiles) -> bytes:
    return _encode(files)


def read(body: bytes) -> dict[str, WebFile]:
    """Raises msgspec.MsgspecError."""
    return _decode(body)


def cut(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), PIECE_BYTES):
        yield body[start : start + PIECE_BYTES]


def ending(path: str) -> str:
    return posixpath.splitext(path)[1].lower()


def usable(path: str) -> bool:
    """Whether it may be a file that some pack brings."""
    pack, _, rest = path.partition("/")
    plain = posixpath.normpath(path) == path and not path.startswith((".", "/")) and path.isprintable()
    return (
        bool(rest) and plain and len(path) <= MAX_PATH and ending(path) in MEDIA_TYPES and not _is_ours(pack)
    )


def pack_of(path: str) -> str:
    return path.partition("/")[0]


def named_in(path: str, body: bytes) -> Iterator[str]:
    """Further files that a script or a style sheet names: beside itself, in its pack, or by their address."""
    if ending(path) not in TEXTS:
        return
    for name in dict.fromkeys(_NAMED.findall(body.decode("utf-8", "replace"))):
        before, found, after = name.partition(FOLDER.lstrip("/"))
        if found and before in ("", "/", "./", "../", "../../", "../../../"):
            candidates = [after]
        elif "://" in name or name.startswith("/"):
            continue
        else:
            candidates = [f"{posixpath.dirname(path)}/{name}", f"{pack_of(path)}/{name}"]
        for candidate in candidates:
            plain = posixpath.normpath(candidate)
            if pack_of(plain) == pack_of(path) and usable(plain):
                yield plain


def _is_ours(pack: str) -> bool:
    return pack.casefold() in NOT_OURS
