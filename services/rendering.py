"""Renditions of pictures, made when somebody asks for them, and kept for a while for whoever asks next.

The original stays what it is. A rendition that is gone is made anew.
"""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256

from commands.ports import Clock, ObjectMissingError, Objects
from domain.ids import Digest
from domain.refusals import Invalid, TooMany
from domain.rendition import AS_MADE, Rendition, check, in_short
from services.ports.picturing import KeptRendition, Rendered, Renderer, RenditionLedger

AT_ONCE = 2  # originals in memory
WAITING = 64
MAX_SOURCE_BYTES = 256 * 1024 * 1024
TOO_LARGE = "The file is too large to be handed out in another way than as it is."
BUSY = "Too many pictures are being converted at the moment."
BUSY_S = 5


class Rendering:
    """Implements Renditions."""

    def __init__(self, objects: Objects, ledger: RenditionLedger, renderer: Renderer, now: Clock) -> None:
        self._objects = objects
        self._ledger = ledger
        self._renderer = renderer
        self._now = now
        self._places = asyncio.Semaphore(AT_ONCE)
        self._under_way: dict[tuple[Digest, str], asyncio.Task[KeptRendition | None]] = {}

    async def of(self, source: Digest, rendition: Rendition) -> KeptRendition | None:
        check(rendition)
        if rendition == AS_MADE:
            return None
        short = in_short(rendition)
        kept = await self._ledger.find(source, short)
        if kept is not None and await self._objects.size(kept.digest) is not None:
            return None if kept.digest == source else kept
        return await self._together(source, rendition, short)

    async def _together(self, source: Digest, rendition: Rendition, short: str) -> KeptRendition | None:
        """Who asks for the same at the same time gets the same; who goes away meanwhile stops it for nobody."""
        key = (source, short)
        task = self._under_way.get(key)
        if task is None:
            if len(self._under_way) >= WAITING:
                raise TooMany(BUSY, retry_after_s=BUSY_S)
            task = self._under_way[key] = asyncio.create_task(self._make(source, rendition, short))
            task.add_done_callback(lambda done: self._over(key, done))
        return await asyncio.shield(task)

    def _over(self, key: tuple[Digest, str], done: "asyncio.Task[KeptRendition | None]") -> None:
        del self._under_way[key]
        if not done.cancelled():
            done.exception()  # those who waited were told; nobody may be left

    async def _make(self, source: Digest, rendition: Rendition, short: str) -> KeptRendition | None:
        async with self._places:
            rendered = await self._renderer.render(await self._read(source), rendition)
            if rendered is None:
                return None
            kept = await self._store(rendered)
        await self._ledger.keep(source, short, kept, self._now())
        return None if kept.digest == source else kept

    async def _read(self, source: Digest) -> bytes:
        size = await self._objects.size(source)
        if size is None:
            raise ObjectMissingError("There is no such object.")
        if size > MAX_SOURCE_BYTES:
            raise Invalid(TOO_LARGE)
        return b"".join([piece async for piece in self._objects.read(source)])

    async def _store(self, rendered: Rendered) -> KeptRendition:
        digest = Digest((await asyncio.to_thread(sha256, rendered.body)).hexdigest())
        await self._objects.put(digest, _one(rendered.body), len(rendered.body))
        return KeptRendition(digest, rendered.media_type)


async def _one(body: bytes) -> AsyncIterator[bytes]:
    yield body
