"""Zip archives in a folder, `<id>.zip`; one that is not finished is called `<id>.partial`."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID
from zipfile import ZipFile

from adapters.storage.zipping import LEVEL, entry
from commands.ports import Download, ObjectMissingError

PIECE_BYTES = 256 * 1024


class ZipArchive:
    """The Archive port. What it holds in memory is a name for each entry, and one chunk."""

    def __init__(self, partial: Path, finished: Path) -> None:
        self._partial = partial
        self._finished = finished
        self._zip = ZipFile(partial, "w", compresslevel=LEVEL)

    async def add(self, name: str, chunks: AsyncIterator[bytes], *, packed: bool = False) -> None:
        async with entry(self._zip, name, packed=packed) as write:
            async for chunk in chunks:
                await write(chunk)

    async def finish(self) -> int:
        return await asyncio.to_thread(self._finish)

    def close(self) -> None:
        self._zip.close()
        self._partial.unlink(missing_ok=True)

    def _finish(self) -> int:
        self._zip.close()
        with self._partial.open("rb") as file:
            os.fsync(file.fileno())
        size_bytes = self._partial.stat().st_size
        self._partial.replace(self._finished)
        return size_bytes


class DiskArchives:
    """The Archives port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @asynccontextmanager
    async def begin(self, id: UUID) -> AsyncIterator[ZipArchive]:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        archive = ZipArchive(self._folder / f"{id}.partial", self._path(id))
        try:
            yield archive
        finally:
            await asyncio.to_thread(archive.close)

    async def size(self, id: UUID) -> int | None:
        path = self._path(id)
        return path.stat().st_size if path.is_file() else None

    async def read(self, id: UUID, start: int, end: int) -> AsyncIterator[bytes]:
        try:
            file = self._path(id).open("rb")
        except FileNotFoundError as error:
            raise ObjectMissingError("There is no such archive.") from error
        with file:
            file.seek(start)
            while start < end and (
                piece := await asyncio.to_thread(file.read, min(PIECE_BYTES, end - start))
            ):
                yield piece
                start += len(piece)

    async def link(self, id: UUID, download: Download) -> str | None:
        return None

    async def ids(self) -> set[UUID]:
        found = await asyncio.to_thread(lambda: list(self._folder.glob("*")))
        return {UUID(path.stem) for path in found}

    async def remove(self, id: UUID) -> None:
        for path in (self._path(id), self._folder / f"{id}.partial"):
            await asyncio.to_thread(path.unlink, missing_ok=True)

    def _path(self, id: UUID) -> Path:
        return self._folder / f"{id}.zip"
