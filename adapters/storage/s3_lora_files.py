"""LoRAs in a bucket: objects like all others, each with a name for every LoRA that has its bytes.

Whoever names an object looks afterwards whether it is being removed; whoever removes one marks it first, and looks
for names afterwards. So one of the two sees the other.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

from adapters.storage.s3 import S3Objects
from commands.ports import Clock
from domain.ids import Digest

PIECE_BYTES = 1 << 20
SINCE = timedelta(days=1)  # whenever it was stored


class S3LoraFiles:
    """The LoraFiles port, in the bucket of S3Objects. Holds a part of a file in memory, however large it is."""

    def __init__(self, objects: S3Objects, now: Clock) -> None:
        self._objects = objects
        self._names = objects.names
        self._now = now

    async def keep(self, digest: Digest, path: Path, name: str) -> None:
        """The name first: from then on nobody takes the object for one that is not needed."""
        await self._names.add(digest, name)
        if await self._objects.size(digest) is None:
            size_bytes = (await asyncio.to_thread(path.stat)).st_size
            await self._objects.put(digest, _pieces(path), size_bytes)
        await self._objects.rely_on(digest)

    async def name(self, digest: Digest, name: str) -> bool:
        if await self._objects.size(digest) is None:
            return False
        await self._names.add(digest, name)
        await self._objects.rely_on(digest)
        return True

    async def has(self, digest: Digest, name: str) -> bool:
        return await self._names.has(digest, name)

    async def release(self, digest: Digest, name: str) -> None:
        await self._names.drop(digest, name)
        if not await self._names.has_any(digest):
            await self._objects.remove(digest, self._now() + SINCE)

    def names(self) -> AsyncIterator[tuple[str, datetime]]:
        return self._names.all()


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            yield piece
