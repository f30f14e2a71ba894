"""Objects as files named by the SHA-256 of their bytes: `ab/abcdef...`. Written beside, checked, renamed."""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from adapters.storage.checked import checked
from commands.ports import Download, Listed, ObjectMissingError
from domain.ids import Digest

ABANDONED_S = 86_400  # no upload takes that long: whoever wrote it was killed
HELD_BYTES = 256 * 1024  # of an upload in memory; a smaller one is written in one go
PIECE_BYTES = 256 * 1024  # of an object that is read; a smaller one costs one visit to a thread
DIGEST_LENGTH = 64
TOGETHER = 32  # small objects at once: the last waits for the first


class DiskObjects:
    """The Objects port on a folder. Storing what is there already costs a look."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        for first in range(256):
            (folder / f"{first:02x}").mkdir(exist_ok=True)
        self._together = _Together(self._keep_all)
        _settle(folder)
        _clear(self._incoming)

    async def put(self, digest: Digest, chunks: AsyncIterator[bytes], limit_bytes: int) -> int:
        """Returns the size in bytes. Raises WrongDigest, ObjectTooLarge, OSError; then nothing is kept."""
        temporary = self._incoming / f"{digest[:16]}.{secrets.token_hex(8)}"  # others may write the same
        size, held = 0, bytearray()
        try:
            async for chunk in checked(chunks, digest, limit_bytes):
                size += len(chunk)
                held += chunk
                if len(held) >= HELD_BYTES:
                    _append(temporary, held)
                    held.clear()
            if len(held) < size:
                await asyncio.to_thread(self._keep, temporary, held, digest)
            else:
                await self._together.keep(_Small(temporary, bytes(held), digest))
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return size

    async def size(self, digest: Digest) -> int | None:
        """In bytes; None: there is none."""
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError:
            return None

    async def read(self, digest: Digest, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """An open file is whole, whoever removes it meanwhile. Raises ObjectMissingError before the first piece."""
        try:
            file, stop, piece = await asyncio.to_thread(_begin, self._path(digest), start, end)
        except FileNotFoundError as error:
            raise ObjectMissingError("There is no such object.") from error
        with file:
            while piece:
                yield piece
                start += len(piece)
                piece = (
                    await asyncio.to_thread(file.read, min(PIECE_BYTES, stop - start))
                    if start < stop
                    else b""
                )

    async def link(self, digest: Digest, download: Download) -> str | None:
        """A folder has no address."""
        return None

    async def place(self, arrival: str, size_bytes: int) -> str | None:
        return None

    async def take(self, arrival: str, digest: Digest, limit_bytes: int) -> int:
        raise ObjectMissingError("Nothing arrives at a folder by itself.")

    async def remove(self, digest: Digest, settled_before: datetime) -> bool:
        """Whether it is gone: one that was stored since then stays."""
        return await asyncio.to_thread(self._remove, digest, settled_before)

    async def listed(self) -> AsyncIterator[Listed]:
        for first in range(256):
            for found in await asyncio.to_thread(_listed, self._folder / f"{first:02x}"):
                yield found

    def _remove(self, digest: Digest, settled_before: datetime) -> bool:
        """Its time is looked at again once it is taken away: somebody may be storing it again just now."""
        path, taken = self._path(digest), self._incoming / f"{digest[:16]}.{secrets.token_hex(8)}"
        try:
            about = path.stat()
            if about.st_nlink > 1:
                return True  # a LoRA has these bytes: they are its owner's now
            if about.st_mtime >= settled_before.timestamp():
                return False
            path.rename(taken)
        except FileNotFoundError:
            return True
        about = taken.stat()
        if about.st_nlink > 1 or about.st_mtime >= settled_before.timestamp():
            taken.replace(path)
            return False
        taken.unlink()
        return True

    def _path(self, digest: Digest) -> Path:
        return self._folder / digest[:2] / digest

    def _keep(self, temporary: Path, rest: bytes | bytearray, digest: Digest) -> None:
        """On the disk for good before anybody is told: an output that was reported must survive a power cut."""
        self._place(temporary, rest, digest)
        _settle(self._path(digest).parent)  # also where somebody else put it there a moment ago

    def _keep_all(self, small: Sequence["_Small"]) -> list[OSError | None]:
        """As `_keep`; the folder of several is settled once. What went wrong with each."""
        outcomes: list[OSError | None] = []
        for each in small:
            try:
                self._place(each.temporary, each.body, each.digest)
                outcomes.append(None)
            except OSError as error:
                outcomes.append(error)
        for folder in {self._path(each.digest).parent for each in small}:
            _settle(folder)
        return outcomes

    def _place(self, temporary: Path, rest: bytes | bytearray, digest: Digest) -> None:
        path = self._path(digest)
        try:
            os.utime(path)  # as if it were stored now: nobody removes it before it is referred to
            temporary.unlink(missing_ok=True)
        except FileNotFoundError:
            _append(temporary, rest, durable=True)
            os.replace(temporary, path)


class _Small(Struct, frozen=True):
    """An object that is in memory as a whole."""

    temporary: Path
    body: bytes
    digest: Digest


class _Together:
    """Small objects that come at the same time go to the disk by one hop to a thread, which costs as much as one."""

    def __init__(self, keep_all: Callable[[Sequence[_Small]], list[OSError | None]]) -> None:
        self._keep_all = keep_all
        self._waiting: list[tuple[_Small, asyncio.Future[None]]] = []
        self._keeping: asyncio.Task[None] | None = None

    async def keep(self, small: _Small) -> None:
        """Raises OSError."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((small, kept))
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep())
        await kept

    async def _keep(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
            try:
                outcomes = await asyncio.to_thread(self._keep_all, [small for small, _ in batch])
            except OSError as error:
                outcomes = [error for _ in batch]
            for (_, kept), outcome in zip(batch, outcomes, strict=True):
                if kept.done():
                    continue  # nobody waits any more
                if outcome is None:
                    kept.set_result(None)
                else:
                    kept.set_exception(outcome)
        self._keeping = None


def _begin(path: Path, start: int, end: int | None) -> tuple[BinaryIO, int, bytes]:
    """The open file, where to end, and the first piece."""
    file = path.open("rb")
    try:
        size = os.fstat(file.fileno()).st_size
        end = size if end is None else min(end, size)
        file.seek(start)
        return file, end, file.read(max(0, min(PIECE_BYTES, end - start)))
    except BaseException:
        file.close()
        raise


def _listed(folder: Path) -> list[Listed]:
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if len(entry.name) == DIGEST_LENGTH:
                    about = entry.stat()
                    stored_at = datetime.fromtimestamp(about.st_mtime, UTC)
                    found.append(Listed(Digest(entry.name), about.st_size, stored_at))
    return found


def _append(path: Path, body: bytes | bytearray, *, durable: bool = False) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        left = memoryview(body)
        while left:
            left = left[os.write(descriptor, left) :]
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _settle(folder: Path) -> None:
    """Let the names in a folder survive a power cut."""
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
