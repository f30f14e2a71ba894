"""Objects as files named by the SHA-256 of their bytes: `ab/abcdef...`. Written beside, checked, renamed."""

import asyncio
import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

from commands.ports import ObjectTooLarge, WrongDigest
from domain.ids import Digest

ABANDONED_S = 86_400  # no upload takes that long: whoever wrote it was killed


class DiskObjects:
    """The Objects port on a folder. Storing what is there already costs a look."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        _clear(self._incoming)

    async def put(self, digest: Digest, chunks: AsyncIterator[bytes], limit_bytes: int) -> int:
        """Returns the size in bytes. Raises WrongDigest, ObjectTooLarge, OSError; then nothing is kept."""
        temporary = (
            self._incoming / f"{digest[:16]}.{secrets.token_hex(8)}"
        )  # others may write the same object
        sha, size = hashlib.sha256(), 0
        try:
            with temporary.open("xb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > limit_bytes:
                        raise ObjectTooLarge(f"An object may have {limit_bytes} bytes at most.")
                    sha.update(chunk)
                    file.write(chunk)
            if sha.hexdigest() != digest:
                raise WrongDigest("The bytes are not those that the digest names.")
            await asyncio.to_thread(self._keep, temporary, self._path(digest))
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
        return size

    def path(self, digest: Digest) -> Path | None:
        """Where the object lies, None if there is none."""
        path = self._path(digest)
        return path if path.is_file() else None

    def _path(self, digest: Digest) -> Path:
        return self._folder / digest[:2] / digest

    def _keep(self, temporary: Path, path: Path) -> None:
        """On the disk for good before anybody is told: an output that was reported must survive a power cut."""
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        made = not path.parent.exists()
        path.parent.mkdir(exist_ok=True)
        temporary.replace(path)
        for folder in (path.parent, *([self._folder] if made else [])):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _clear(incoming: Path) -> None:
    """Remove what killed processes have left; what is younger somebody may still be writing."""
    oldest = time.time() - ABANDONED_S
    for path in incoming.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest:
                path.unlink()
