"""Where files are kept, and the same for those who do one thing after the other."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager

from adapters.storage.disk import DiskObjects
from commands.ports import Objects
from domain.ids import Digest
from infra.settings import Settings


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Objects]:
    yield DiskObjects(settings.data / "objects")


class Store:
    """Raises what the store raises."""

    def __init__(self, runner: asyncio.Runner, objects: Objects) -> None:
        self._runner = runner
        self._objects = objects

    def size(self, digest: str) -> int | None:
        return self._runner.run(self._objects.size(Digest(digest)))

    def read(self, digest: str) -> Iterator[bytes]:
        pieces = self._objects.read(Digest(digest))
        while piece := self._runner.run(_next(pieces)):
            yield piece

    def put(self, digest: str, size_bytes: int, blocks: Iterable[bytes]) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for block in blocks:
                yield block

        self._runner.run(self._objects.put(Digest(digest), chunks(), size_bytes))


@contextmanager
def at_hand(settings: Settings) -> Iterator[Store]:
    with asyncio.Runner() as runner:
        opening = opened(settings)
        objects = runner.run(opening.__aenter__())
        try:
            yield Store(runner, objects)
        finally:
            runner.run(opening.__aexit__(None, None, None))


async def _next(pieces: AsyncIterator[bytes]) -> bytes:
    """b"" at the end: no store gives an empty piece."""
    return await anext(pieces, b"")
