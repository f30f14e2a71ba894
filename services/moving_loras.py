"""Moves LoRAs from one store to another while both are in use: their bytes as all objects, and their names after them.

It may be killed at any moment and begun again. An object goes from where it was with the last of its names.
"""

from collections.abc import Callable

from commands.ports import Clock, Listed, Objects, ObjectsAwayError
from domain.ids import Digest
from domain.lora import read_path
from services.moving import COPIES, Fate, Moved, copied, patiently
from services.ports.uploading import LoraFiles


class MovingLoras:
    def __init__(
        self, source: Objects, target: Objects, source_files: LoraFiles, target_files: LoraFiles, now: Clock
    ) -> None:
        self._source = source
        self._target = target
        self._source_files = source_files
        self._target_files = target_files
        self._now = now

    async def all(self, told: Callable[[Moved], None]) -> None:
        """`told` of each object once. Raises ObjectsAwayError: then some are moved, and it may be begun again."""
        async for name, since in self._source_files.names():
            path = read_path(name.replace("/loras/", "/", 1))
            size_bytes = None if path is None else await self._source.size(path.digest)
            if path is None or size_bytes is None:
                continue
            found = Listed(path.digest, size_bytes, since)
            fate = await patiently(lambda found=found, name=name: self._move(found, name))  # type: ignore[misc]
            if fate is not Fate.MOVED or await self._source.size(path.digest) is None:
                told(Moved(found, fate))

    async def _move(self, found: Listed, name: str) -> Fate:
        digest = found.digest
        if (fate := await self._named_there(found, name)) is not None:
            return fate
        if not await self._source_files.has(digest, name):  # deleted while it was copied: there as well
            await self._target_files.release(digest, name)
            return Fate.GONE
        await self._source_files.release(digest, name)
        return Fate.MOVED

    async def _named_there(self, found: Listed, name: str) -> Fate | None:
        """None: it is. A copy without a name may be removed by whoever deletes another LoRA of the same bytes."""
        for _ in range(COPIES):
            if (fate := await copied(self._source, self._target, found, self._now)) is not None:
                return fate
            if await self._target_files.name(Digest(found.digest), name):
                return None
        raise ObjectsAwayError("What is copied is removed at once.")
