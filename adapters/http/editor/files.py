"""The editor's files: all that there are is looked up once, so that no address leads anywhere else."""

import asyncio
import gzip
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from adapters.http.gateway.call import Answer

KINDS = {
    ".css": "text/css; charset=utf-8",
    ".eot": "application/vnd.ms-fontobject",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webm": "video/webm",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
OTHER = "application/octet-stream"
PACKED = {".css", ".html", ".js", ".json", ".mjs", ".svg", ".ttf", ".txt", ".wasm"}
WORTH_PACKING = 1024
HASHED = re.compile(r"assets/.*-[A-Za-z0-9_-]{8}\.[a-z0-9]+")
FOR_EVER = b"public, max-age=31536000, immutable"  # the name changes with what is in it
FOR_AN_HOUR = b"public, max-age=3600"  # libraries: some hundreds of files that are asked for at each start
LOOK_FIRST = b"no-cache"


class File(Struct, frozen=True):
    path: Path
    media_type: str
    etag: bytes
    kept: bytes
    packed: bool


class Files:
    """`folder`: with the editor's index.html. `templates`: workflows to begin with, at `templates/`."""

    def __init__(self, folder: Path, templates: Path | None = None) -> None:
        self._files = dict(_found(folder, ""))
        if templates is not None:
            self._files.update(_found(templates, "templates/"))
        self._packed: dict[str, bytes] = {}

    @property
    def names(self) -> Mapping[str, File]:
        return self._files

    async def answer(self, name: str, headers: Mapping[bytes, bytes]) -> Answer | None:
        """None: there is no such file. Raises OSError."""
        file = self._files.get(name)
        if file is None:
            return None
        said = [(b"etag", file.etag), (b"cache-control", file.kept), (b"vary", b"accept-encoding")]
        if file.etag in headers.get(b"if-none-match", b""):
            return Answer(status=304, headers=tuple(said))
        if file.packed and b"gzip" in headers.get(b"accept-encoding", b""):
            said.append((b"content-encoding", b"gzip"))
            return Answer(
                body=await self._gzipped(name, file), media_type=file.media_type, headers=tuple(said)
            )
        body = await asyncio.to_thread(file.path.read_bytes)
        return Answer(body=body, media_type=file.media_type, headers=tuple(said))

    async def text(self, name: str) -> str | None:
        file = self._files.get(name)
        return None if file is None else await asyncio.to_thread(file.path.read_text, "utf-8")

    async def _gzipped(self, name: str, file: File) -> bytes:
        """Each is packed once: all together have some ten megabytes."""
        if (known := self._packed.get(name)) is not None:
            return known
        packed = await asyncio.to_thread(lambda: gzip.compress(file.path.read_bytes(), 6, mtime=0))
        self._packed[name] = packed
        return packed


def _found(folder: Path, before: str) -> Iterator[tuple[str, File]]:
    for path in folder.rglob("*"):
        kind = path.suffix.lower()
        if kind == ".map" or not path.is_file():
            continue
        name = before + path.relative_to(folder).as_posix()
        yield name, _file(path, name, kind)


def _file(path: Path, name: str, kind: str) -> File:
    kept = FOR_EVER if HASHED.fullmatch(name) else FOR_AN_HOUR if name.startswith("assets/") else LOOK_FIRST
    about = path.stat()
    return File(
        path=path,
        media_type=KINDS.get(kind, OTHER),
        etag=f'"{about.st_mtime_ns:x}-{about.st_size:x}"'.encode(),
        kept=kept,
        packed=kind in PACKED and about.st_size >= WORTH_PACKING,
    )
