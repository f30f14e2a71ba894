"""Zip archives in a folder, `<id>.zip`; one that is not finished is called `<id>.partial`."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

LEVEL = 4  # of compression: JSON gets hardly smaller with more


class ZipArchive:
    """The Archive port. What it holds in memory is a name for each entry, and one chunk."""

    def __init__(self, partial: Path, finished: Path) -> None:
        self._partial = partial
        self._finished = finished
        self._zip = ZipFile(partial, "w", compresslevel=LEVEL)

    async def add(self, name: str, chunks: AsyncIterator[bytes], *, packed: bool = False) -> None:
        entry = ZipInfo(name)
        entry.compress_type = ZIP_STORED if packed else ZIP_DEFLATED
        entry.external_attr = 0o600 << 16
        writing = self._zip.open(entry, "w", force_zip64=True)
        try:
            async for chunk in chunks:
                await asyncio.to_thread(_write, writing, chunk)
        finally:
            await asyncio.to_thread(writing.close)

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
        archive = ZipArchive(self._folder / f"{id}.partial", self._folder / f"{id}.zip")
        try:
            yield archive
        finally:
            await asyncio.to_thread(archive.close)

    def path(self, id: UUID) -> Path | None:
        path = self._folder / f"{id}.zip"
        return path if path.is_file() else None

    def ids(self) -> set[UUID]:
        return {UUID(path.stem) for path in self._folder.glob("*")}

    def remove(self, id: UUID) -> None:
        for kind in ("partial", "zip"):
            (self._folder / f"{id}.{kind}").unlink(missing_ok=True)


def _write(file: IO[bytes], chunk: bytes) -> None:
    file.write(chunk)
