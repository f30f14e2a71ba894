"""LoRAs in two stores as one: a first that takes what is new, and a second that still has some of the old.

What is not in the second any more has come to the first meanwhile: that is looked at again.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

from domain.ids import Digest
from services.ports.uploading import LoraFiles


class LoraPlaces:
    """The LoraFiles port."""

    def __init__(self, first: LoraFiles, second: LoraFiles) -> None:
        self._first = first
        self._second = second
        self._in_turn = (first, second, first)

    async def keep(self, digest: Digest, path: Path, name: str) -> None:
        await self._first.keep(digest, path, name)

    async def name(self, digest: Digest, name: str) -> bool:
        for files in self._in_turn:
            if await files.name(digest, name):
                return True
        return False

    async def has(self, digest: Digest, name: str) -> bool:
        for files in self._in_turn:
            if await files.has(digest, name):
                return True
        return False

    async def release(self, digest: Digest, name: str) -> None:
        """From the second before the first: whoever moves it there sees that it is gone where it came from."""
        await self._second.release(digest, name)
        await self._first.release(digest, name)

    async def names(self) -> AsyncIterator[tuple[str, datetime]]:
        """What is in both comes twice."""
        for files in (self._first, self._second):
            async for named in files.names():
                yield named
