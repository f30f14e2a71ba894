"""Uploads under way as files, `<id>.part`. One process at a time writes one; how much is there, its size tells."""

import asyncio
import errno
import fcntl
import hashlib
import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from domain.ids import Digest
from services.ports.uploading import NoRoom, UploadBusy

T = TypeVar("T")

HELD_BYTES = 1024 * 1024  # written and hashed at once, in a thread; so much of an upload is in memory
HASHES = 256  # of uploads that were sent to this process lately
ENDING = ".part"
FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskPart:
    """The Part port, on an open and locked file."""

    def __init__(self, path: Path, descriptor: int, known: "tuple[int, hashlib._Hash] | None") -> None:
        self._path = path
        self._descriptor = descriptor
        self._written = os.fstat(descriptor).st_size
        self._held = bytearray()
        self._thread: asyncio.Future[Any] | None = None
        self._hashed, self._sha = known if known and known[0] <= self._written else (0, hashlib.sha256())

    @property
    def size(self) -> int:
        return self._written + len(self._held)

    @property
    def known(self) -> "tuple[int, hashlib._Hash]":
        return self._hashed, self._sha

    async def write(self, chunk: bytes) -> None:
        self._held += chunk
        if len(self._held) >= HELD_BYTES:
            await self.flush()

    async def flush(self) -> None:
        if self._held:
            await self._in_thread(self._write)

    async def cut(self, size: int) -> None:
        await self.flush()
        if size < self._written:
            await self._in_thread(os.ftruncate, self._descriptor, size)
            self._written = size
            if self._hashed > size:
                self._hashed, self._sha = 0, hashlib.sha256()

    async def head(self, length: int) -> bytes:
        await self.flush()
        return await self._in_thread(os.pread, self._descriptor, length, 0)

    async def digest(self) -> Digest:
        await self.flush()
        await self._in_thread(self._catch_up)
        return Digest(self._sha.hexdigest())

    async def settle(self) -> Path:
        await self.flush()
        await self._in_thread(os.fsync, self._descriptor)
        return self._path

    async def ended(self) -> None:
        """No thread works on the file any more: whoever closed it under one would write into somebody else's."""
        cancelled = False
        while self._thread is not None and not self._thread.done():
            try:
                await asyncio.wait([self._thread])
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """Goes on to its end when the one who waits is cancelled."""
        await self.ended()
        running = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
        self._thread = running
        return await asyncio.shield(running)

    def _write(self) -> None:
        """What did not fit is cut off again: its sender is told where to go on."""
        body, self._held = memoryview(self._held), bytearray()
        done = 0
        try:
            while done < len(body):
                done += os.pwrite(self._descriptor, body[done:], self._written + done)
        except OSError as error:
            os.ftruncate(self._descriptor, self._written)
            if error.errno in FULL:
                raise NoRoom(
                    "There is no room left for uploads at the moment. Please try again later."
                ) from error
            raise
        if self._hashed == self._written:
            self._sha.update(body)
            self._hashed += len(body)
        self._written += len(body)

    def _catch_up(self) -> None:
        """Hash what another process has written, or this one before it forgot."""
        while self._hashed < self._written:
            piece = os.pread(self._descriptor, HELD_BYTES, self._hashed)
            self._sha.update(piece)
            self._hashed += len(piece)


class DiskParts:
    """The PartFiles port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hashes: OrderedDict[UUID, tuple[int, hashlib._Hash]] = OrderedDict()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def size(self, id: UUID) -> int:
        try:
            return self._path(id).stat().st_size
        except FileNotFoundError:
            return 0

    @asynccontextmanager
    async def open(self, id: UUID) -> AsyncIterator[DiskPart]:
        path = self._path(id)
        descriptor = await asyncio.to_thread(_locked, path)
        try:
            part = DiskPart(path, descriptor, self._hashes.pop(id, None))
            try:
                yield part
            finally:
                await part.ended()
                with suppress(NoRoom):
                    await part.flush()
                await part.ended()
                self._hashes[id] = part.known
                while len(self._hashes) > HASHES:
                    self._hashes.popitem(last=False)
        finally:
            os.close(descriptor)

    def remove(self, id: UUID) -> None:
        self._hashes.pop(id, None)
        self._path(id).unlink(missing_ok=True)

    def ids(self) -> set[UUID]:
        found = set()
        for path in self._folder.glob(f"*{ENDING}"):
            with suppress(ValueError):
                found.add(UUID(path.stem))
        return found

    def _path(self, id: UUID) -> Path:
        return self._folder / f"{id}{ENDING}"


def _locked(path: Path) -> int:
    """Raises UploadBusy."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise UploadBusy(
            "Somebody is sending this upload at the moment. Ask how far it is, then go on."
        ) from error
    return descriptor
