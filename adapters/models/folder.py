"""A backend's models folder on this machine's disk: `loras/user-<uuid>/<file>`, written beside and renamed.

ComfyUI lists a file as soon as it has its name, so it gets that when it is whole. When it was last needed is its time
of change. Beside the folder, `.comfyplus-loras` holds a file for each attempt: the names that it needs.
"""

import asyncio
import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from uuid import UUID

from domain.ids import AttemptId
from domain.lora import read_path
from services.ports.model_files import FolderFullError, ModelFile

HELD_BYTES = 1024 * 1024  # written at once, in a thread
ENDING = ".tmp"  # never listed by ComfyUI
OURS = ".comfyplus-loras"
FULL = (errno.ENOSPC, errno.EDQUOT)


class ModelsInUseError(Exception):
    """Another executor keeps LoRAs in this folder. Give each backend a models folder of its own."""


class DiskIncoming:
    """The IncomingFile port."""

    def __init__(self, descriptor: int, temporary: Path, path: Path) -> None:
        self._descriptor = descriptor
        self._temporary = temporary
        self._path = path
        self._held = bytearray()
        self._thread: asyncio.Future[None] | None = None
        self.finished = False

    async def write(self, chunk: bytes) -> None:
        self._held += chunk
        if len(self._held) >= HELD_BYTES:
            await self.run(self._write)

    async def finish(self) -> None:
        await self.run(self._finish)
        self.finished = True

    async def ended(self) -> None:
        """No thread works on it any more."""
        while self._thread is not None and not self._thread.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([self._thread])

    async def run(self, work: Callable[[], None]) -> None:
        self._thread = asyncio.ensure_future(asyncio.to_thread(work))
        await asyncio.shield(self._thread)

    def _write(self) -> None:
        body, self._held = memoryview(self._held), bytearray()
        while body:
            body = body[os.write(self._descriptor, body) :]

    def _finish(self) -> None:
        self._write()
        os.fsync(self._descriptor)
        self._temporary.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class DiskModels:
    """The ModelFolder port. Opened by one process at a time; close it."""

    incoming_file = DiskIncoming

    def __init__(self, models: Path) -> None:
        """Raises ModelsInUseError, OSError."""
        self._root = models / "loras"
        self._leases = models / OURS
        self._root.mkdir(parents=True, exist_ok=True)
        self._leases.mkdir(exist_ok=True)
        self._lock = os.open(self._leases / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise ModelsInUseError(f"Another executor keeps LoRAs in {models}.") from error
        self._files = self._found()

    def close(self) -> None:
        os.close(self._lock)

    def files(self) -> Mapping[str, ModelFile]:
        """What somebody else has removed is not there any more."""
        for name in [name for name in self._files if not (self._root / name).is_file()]:
            del self._files[name]
        return dict(self._files)

    def free_bytes(self) -> int:
        return shutil.disk_usage(self._root).free

    @asynccontextmanager
    async def incoming(self, name: str, size_bytes: int) -> AsyncIterator[DiskIncoming]:
        path = self._root / name
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}{ENDING}")
        with _told():
            path.parent.mkdir(exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            file = self.incoming_file(descriptor, temporary, path)
            try:
                if size_bytes:
                    await file.run(lambda: os.posix_fallocate(descriptor, 0, size_bytes))
                yield file
            finally:
                await file.ended()
                os.close(descriptor)
                if file.finished:
                    self._files[name] = ModelFile(size_bytes, time.time())
                else:
                    temporary.unlink(missing_ok=True)

    def use(self, name: str) -> None:
        now = time.time()
        with suppress(FileNotFoundError):
            os.utime(self._root / name, (now, now))
            self._files[name] = ModelFile((self._root / name).stat().st_size, now)

    def remove(self, name: str) -> None:
        self._files.pop(name, None)
        (self._root / name).unlink(missing_ok=True)

    def lease(self, attempt: AttemptId, names: Iterable[str]) -> None:
        unfinished = self._leases / f"{attempt}{ENDING}"
        with _told():
            try:
                self._write_lease(unfinished, "\n".join(names))
            except OSError:
                unfinished.unlink(missing_ok=True)
                raise
            unfinished.replace(self._leases / f"{attempt}")

    def release(self, attempt: AttemptId) -> None:
        (self._leases / f"{attempt}").unlink(missing_ok=True)

    def leases(self) -> Mapping[AttemptId, frozenset[str]]:
        found = {}
        for path in self._leases.iterdir():
            with suppress(ValueError):
                found[AttemptId(UUID(path.name))] = frozenset(path.read_text().splitlines())
        return found

    def _write_lease(self, path: Path, names: str) -> None:
        path.write_text(names)

    def _found(self) -> dict[str, ModelFile]:
        """What lies there; what a killed process was writing goes."""
        found = {}
        for path in self._root.glob("user-*/*"):
            name = str(path.relative_to(self._root))
            if path.name.endswith(ENDING):
                path.unlink(missing_ok=True)
            elif read_path(name) is not None and path.is_file():
                about = path.stat()
                found[name] = ModelFile(about.st_size, about.st_mtime)
        return found


@contextmanager
def _told() -> Iterator[None]:
    """Raises FolderFullError where the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise FolderFullError from error
        raise
