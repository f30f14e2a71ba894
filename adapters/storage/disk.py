"""Objects as files named by the SHA-256 of their bytes: `ab/abcdef...`. Written beside, checked, renamed."""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Sequence
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
NEW = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
TOGETHER = 32  # small objects at once: the last waits for the first


class DiskObjects:
    """The Objects port on a folder. Storing what is there already costs a look."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        for first in range(256):
            (folder / f"{first:02x}").mkdir(exist_ok=True)
        self._together = _Together()
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
                await self._keep_small(temporary, held, self._path(digest))
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
        opening = asyncio.get_running_loop().run_in_executor(None, _begin, self._path(digest), start, end)
        try:
            file, stop, piece = await asyncio.shield(opening)
        except FileNotFoundError as error:
            raise ObjectMissingError("There is no such object.") from error
        except asyncio.CancelledError:
            opening.add_done_callback(_close)  # a thread that opens a file is not to be stopped
            raise
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
        path = self._path(digest)
        if _touched(path):
            temporary.unlink(missing_ok=True)
        else:
            _append(temporary, rest, durable=True)
            os.replace(temporary, path)
        _settle(path.parent)  # also where somebody else put it there a moment ago

    async def _keep_small(self, temporary: Path, body: bytearray, path: Path) -> None:
        """As `_keep`. Only what waits for the disk is done in a thread: each call there is a fight for the GIL."""
        file = None if _touched(path) else os.open(temporary, NEW, 0o644)
        try:
            if file is not None:
                _write(file, body)
        except BaseException:
            assert file is not None
            os.close(file)
            raise
        await self._together.settle(_Small(file, temporary, path))


class _Small(Struct, frozen=True):
    """An object on its way to `path`: written to `temporary`, which is open as `file`. None: it is there already."""

    file: int | None
    temporary: Path
    path: Path


class _Together:
    """Small objects that come at the same time go to the disk by one hop to a thread, which costs as much as one."""

    def __init__(self) -> None:
        self._waiting: list[tuple[_Small, asyncio.Future[None]]] = []
        self._settling: asyncio.Task[None] | None = None

    async def settle(self, small: _Small) -> None:
        """Takes charge of the open file. Raises OSError."""
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((small, settled))
        if self._settling is None:
            self._settling = asyncio.create_task(self._settle())
        await settled

    async def _settle(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
            for (_, settled), outcome in zip(batch, await _settled([each for each, _ in batch]), strict=True):
                if settled.done():
                    continue  # nobody waits any more
                if outcome is None:
                    settled.set_result(None)
                else:
                    settled.set_exception(outcome)
        self._settling = None


async def _settled(batch: Sequence[_Small]) -> list[OSError | None]:
    """What went wrong with each. Their files are closed; the folder of several is settled once."""
    folders: list[int] = []
    try:
        for folder in {small.path.parent for small in batch}:
            folders.append(os.open(folder, os.O_RDONLY | os.O_CLOEXEC))
        return await asyncio.to_thread(_settle_all, batch, folders)
    except OSError as error:
        return [error for _ in batch]
    finally:
        for descriptor in (*folders, *(small.file for small in batch if small.file is not None)):
            os.close(descriptor)


def _settle_all(batch: Sequence[_Small], folders: Sequence[int]) -> list[OSError | None]:
    outcomes: list[OSError | None] = []
    for small in batch:
        try:
            if small.file is not None:
                os.fsync(small.file)
                os.replace(small.temporary, small.path)
            outcomes.append(None)
        except OSError as error:
            outcomes.append(error)
    for folder in folders:
        os.fsync(folder)
    return outcomes


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


def _close(opening: asyncio.Future[tuple[BinaryIO, int, bytes]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].close()


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


def _touched(path: Path) -> bool:
    """Whether it is there; as if it were stored now: nobody removes it before it is referred to."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _append(path: Path, body: bytes | bytearray, *, durable: bool = False) -> None:
    descriptor = os.open(path, NEW, 0o644)
    try:
        _write(descriptor, body)
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(descriptor: int, body: bytes | bytearray) -> None:
    left = memoryview(body)
    while left:
        left = left[os.write(descriptor, left) :]


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
