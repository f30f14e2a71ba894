"""Two stores as one: a first that takes what is new, and a second that still has some of the old.

So the system works on while objects are moved from one to the other, in either direction.
"""

from collections.abc import AsyncIterator
from datetime import datetime

from commands.ports import Download, Listed, ObjectMissingError, Objects
from domain.ids import Digest


class Places:
    """The Objects port. What is not in the second any more has come to the first meanwhile: that is looked at again."""

    def __init__(self, first: Objects, second: Objects) -> None:
        self._first = first
        self._second = second
        self._in_turn = (first, second, first)

    async def put(self, digest: Digest, chunks: AsyncIterator[bytes], limit_bytes: int) -> int:
        return await self._first.put(digest, chunks, limit_bytes)

    async def size(self, digest: Digest) -> int | None:
        for store in self._in_turn:
            if (size := await store.size(digest)) is not None:
                return size
        return None

    async def read(self, digest: Digest, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        for store in self._in_turn:
            try:
                async for piece in store.read(digest, start, end):
                    yield piece
                return
            except ObjectMissingError:
                continue
        raise ObjectMissingError("There is no such object.")

    async def link(self, digest: Digest, download: Download) -> str | None:
        """Only to the first: from the second it may be taken away before the link is followed."""
        return (
            await self._first.link(digest, download) if await self._first.size(digest) is not None else None
        )

    async def place(self, arrival: str, size_bytes: int) -> str | None:
        return await self._first.place(arrival, size_bytes)

    async def take(self, arrival: str, digest: Digest, limit_bytes: int) -> int:
        return await self._first.take(arrival, digest, limit_bytes)

    async def remove(self, digest: Digest, settled_before: datetime) -> bool:
        """From the second before the first: whoever moves it there sees that it is gone where it came from."""
        gone = await self._second.remove(digest, settled_before)
        return await self._first.remove(digest, settled_before) and gone

    async def listed(self) -> AsyncIterator[Listed]:
        """What is in both comes twice."""
        for store in (self._first, self._second):
            async for found in store.listed():
                yield found
