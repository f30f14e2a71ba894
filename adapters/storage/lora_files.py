"""LoRAs on the disk of the object store: the object, and beside it a hard link for each LoRA that has these bytes.

`ab/abcdef...` is the object, `user-<uuid>/loras/<file>` a name of the same file. An object with a name is in use.
"""

import asyncio
import errno
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from domain.ids import Digest
from services.ports.uploading import NoRoom

FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskLoraFiles:
    """The LoraFiles port, in the folder of DiskObjects."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def keep(self, digest: Digest, path: Path, name: str) -> None:
        await asyncio.to_thread(self._keep, digest, path, name)

    async def name(self, digest: Digest, name: str) -> bool:
        return await asyncio.to_thread(self._name, digest, name)

    async def has(self, digest: Digest, name: str) -> bool:
        return (self._folder / name).exists()

    async def release(self, digest: Digest, name: str) -> None:
        await asyncio.to_thread(self._release, digest, name)

    async def names(self) -> AsyncIterator[tuple[str, datetime]]:
        for named in await asyncio.to_thread(lambda: list(self._named())):
            yield named

    def _named(self) -> Iterator[tuple[str, datetime]]:
        for path in self._folder.glob("user-*/loras/*"):
            with suppress(FileNotFoundError):
                at = datetime.fromtimestamp(path.lstat().st_ctime, UTC)
                yield str(path.relative_to(self._folder)), at

    def _keep(self, digest: Digest, path: Path, name: str) -> None:
        """The name first: from then on nobody takes the object for one that is not needed."""
        named = self._folder / name
        named.parent.mkdir(parents=True, exist_ok=True)
        if not self._name(digest, name):
            _link(path, named)
            _link(named, self._object(digest))
        for folder in (named.parent, named.parent.parent, self._folder, self._object(digest).parent):
            _settle(folder)

    def _name(self, digest: Digest, name: str) -> bool:
        named = self._folder / name
        named.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(self._object(digest), named)
        except FileExistsError:
            pass
        except FileNotFoundError:
            if not named.exists():
                return False
        _link(named, self._object(digest))  # removed a moment ago: the name has kept the bytes
        return True

    def _release(self, digest: Digest, name: str) -> None:
        """Taken aside before it is looked at whether it has another name: one that comes meanwhile puts it back."""
        named, kept = self._folder / name, self._object(digest)
        named.unlink(missing_ok=True)
        with suppress(OSError):  # there are others
            named.parent.rmdir()
            named.parent.parent.rmdir()
        taken = self._folder / "incoming" / f"{digest[:16]}.{secrets.token_hex(8)}"
        try:
            if kept.stat().st_nlink > 1:
                return
            taken.parent.mkdir(exist_ok=True)
            kept.rename(taken)
        except FileNotFoundError:
            return
        if taken.stat().st_nlink > 1:
            _link(taken, kept)
        taken.unlink()

    def _object(self, digest: Digest) -> Path:
        return self._folder / digest[:2] / digest


def _link(source: Path, target: Path) -> None:
    """One more name for a file; across file systems, a copy. Raises NoRoom."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    unfinished = target.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        with source.open("rb") as read, unfinished.open("wb") as written:
            shutil.copyfileobj(read, written, 1024 * 1024)
            written.flush()
            os.fsync(written.fileno())
        unfinished.replace(target)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        if error.errno in FULL:
            raise NoRoom("There is no room left for LoRAs at the moment. Please try again later.") from error
        raise


def _settle(folder: Path) -> None:
    """Let the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
