"""Bringing the LoRAs that a graph names into the backend's folder, and keeping them there while somebody needs them.

A file is removed to make room for another only if no attempt in our hands names it: the one unused for longest first.
Each is downloaded once, however many attempts wait for it.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from domain.ids import AttemptId
from domain.lora import LoraPath, graph_path
from services.execution.attempt import Attempt
from services.execution.failures import lora_gone, lora_not_written, no_loras_here, no_room_for_lora
from services.execution.pauses import pauses
from services.execution.settings import ExecutorSettings
from services.ports.backend import Broken
from services.ports.executing import (
    ClaimObjects,
    ObjectRefusedError,
    ObjectsUnavailableError,
    TokenRefusedError,
)
from services.ports.model_files import FolderFullError, ModelFolder
from workflows.loras import paths

logger = logging.getLogger(__name__)

BEATS_FOR_A_TOKEN = 3
SPARE_BYTES = 256 << 20  # of the disk, for others


class LoraCache:
    """One backend's LoRAs, within `limit_bytes`."""

    def __init__(
        self, folder: ModelFolder, objects: ClaimObjects, settings: ExecutorSettings, limit_bytes: int
    ) -> None:
        self._folder = folder
        self._objects = objects
        self._settings = settings
        self._limit_bytes = limit_bytes
        self._leases: dict[AttemptId, frozenset[str]] = dict(folder.leases())
        self._reserved: dict[str, int] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def bring(self, attempt: Attempt, wanted: Collection[LoraPath]) -> None:
        """Everything is there when it returns, or the verdict is known."""
        names = {graph_path(path.owner, path.file): path for path in wanted}
        self._leases[attempt.id] = frozenset(names)
        with _told(attempt, next(iter(names))):
            self._folder.lease(attempt.id, names)
        for name, path in names.items():
            async with self._locks[name]:
                if not attempt.over and name not in self._folder.files():
                    await self._fetch(attempt, name, path)
            if attempt.over:
                return
            self._folder.use(name)

    def release(self, attempt: AttemptId) -> None:
        """The backend neither runs nor queues it any more."""
        if self._leases.pop(attempt, None) is not None:
            self._folder.release(attempt)

    def keep(self, attempts: Collection[AttemptId]) -> None:
        """These are in our hands; what an earlier process held for others is free."""
        for attempt in self._leases.keys() - set(attempts):
            self.release(attempt)

    async def _fetch(self, attempt: Attempt, name: str, path: LoraPath) -> None:
        refusals = 0
        for pause_s in pauses(self._settings.retry_s):
            if attempt.over:
                return
            attempt.token_changed.clear()
            try:
                with _told(attempt, name):
                    if await self._download(attempt, name, path):
                        return
            except ObjectsUnavailableError:
                await asyncio.sleep(pause_s)
            except TokenRefusedError:
                refusals += 1
                if refusals > BEATS_FOR_A_TOKEN:
                    attempt.settle(Broken(failure=lora_gone(name)))
                await self._another_token(attempt)
            except ObjectRefusedError:
                attempt.settle(Broken(failure=lora_gone(name)))

    async def _download(self, attempt: Attempt, name: str, path: LoraPath) -> bool:
        """Whether it is there. Room is reserved before the first byte is asked for from the disk."""
        sha, size = sha256(), 0
        async with self._objects.download(path.digest, attempt.token) as coming:
            self._make_room(name, coming.size_bytes)
            try:
                async with self._folder.incoming(name, coming.size_bytes) as file:
                    async for chunk in coming.chunks:
                        if attempt.over:
                            return False
                        size += len(chunk)
                        sha.update(chunk)
                        await file.write(chunk)
                    if (sha.hexdigest(), size) != (path.digest, coming.size_bytes):
                        raise ObjectsUnavailableError("The object that came is another one.")
                    await file.finish()
            finally:
                del self._reserved[name]
        logger.info("lora brought", extra={"lora": name, "size_bytes": size})
        return True

    def _make_room(self, name: str, size_bytes: int) -> None:
        """Without waiting for anything: nobody else reserves meanwhile. Raises FolderFullError."""
        files = self._folder.files()
        needed = frozenset[str]().union(*self._leases.values()) | self._reserved.keys()
        used = sum(file.size_bytes for file in files.values()) + sum(self._reserved.values())
        free = self._folder.free_bytes() - SPARE_BYTES
        old = sorted((file.used_at, each) for each, file in files.items() if each not in needed)
        for _, each in old:
            if used + size_bytes <= self._limit_bytes and size_bytes <= free:
                break
            self._folder.remove(each)
            used -= files[each].size_bytes
            free += files[each].size_bytes
            logger.info("lora removed to make room", extra={"lora": each})
        if used + size_bytes > self._limit_bytes or size_bytes > free:
            raise FolderFullError
        self._reserved[name] = size_bytes

    async def _another_token(self, attempt: Attempt) -> None:
        try:
            async with asyncio.timeout(self._settings.beat_s * 2):
                await attempt.token_changed.wait()
        except TimeoutError:
            pass


@contextmanager
def _told(attempt: Attempt, name: str) -> Iterator[None]:
    """What goes wrong with the backend's disk is the end of the attempt."""
    try:
        yield
    except FolderFullError:
        logger.warning("no room for a lora", extra={"lora": name})
        attempt.settle(Broken(failure=no_room_for_lora(name)))
    except OSError:
        logger.exception("a lora cannot be written", extra={"lora": name})
        attempt.settle(Broken(failure=lora_not_written(name)))


class LoraCaches:
    """Those backends that have a folder which this executor sees."""

    def __init__(self, caches: Mapping[str, LoraCache]) -> None:
        self._caches = caches

    def has(self, backend: str) -> bool:
        """Whether the backend takes LoRAs."""
        return backend in self._caches

    async def bring(self, attempt: Attempt, graph: Mapping[str, Any]) -> bool:
        """Whether the LoRAs that the graph names are there. If not, the verdict is known."""
        wanted = paths(graph)
        if not wanted:
            return True
        cache = self._caches.get(attempt.assignment.backend)
        if cache is None:
            attempt.settle(Broken(failure=no_loras_here(attempt.assignment.backend)))
        else:
            await cache.bring(attempt, wanted)
        return not attempt.over

    def release(self, attempt: Attempt) -> None:
        for cache in self._caches.values():
            cache.release(attempt.id)

    def keep(self, attempts: Collection[AttemptId]) -> None:
        for cache in self._caches.values():
            cache.keep(attempts)
