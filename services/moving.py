"""Moves objects from one store to another while both are in use: copied, read back, and only then removed.

It may be killed at any moment and begun again: what is moved is not looked at any more, all else is as it was.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from enum import Enum

from msgspec import Struct

from commands.ports import (
    Clock,
    Listed,
    ObjectMissingError,
    Objects,
    ObjectsAwayError,
    ObjectTooLarge,
    WrongDigest,
)
from domain.ids import Digest

AT_ONCE = 4
COPIES = 2  # of one object, until one of them can be read back
ATTEMPTS = 6  # while a store is away
FIRST_PAUSE_S = 0.5  # doubled with each
SINCE = timedelta(days=1)  # whenever it was stored


class Fate(Enum):
    MOVED = "moved"
    GONE = "gone"
    """Somebody has removed it meanwhile."""
    DAMAGED = "damaged"
    """It is not what its name says, and stays where it is."""


class Moved(Struct, frozen=True):
    object: Listed
    fate: Fate


class Moving:
    def __init__(self, source: Objects, target: Objects, now: Clock) -> None:
        self._source = source
        self._target = target
        self._now = now

    async def all(self, told: Callable[[Moved], None]) -> None:
        """Raises ObjectsAwayError: then some are moved, and it may be begun again."""
        places = asyncio.Semaphore(AT_ONCE)

        async def move(found: Listed) -> None:
            try:
                told(Moved(found, await patiently(lambda: self._move(found))))
            finally:
                places.release()

        try:
            async with asyncio.TaskGroup() as group:
                async for found in self._source.listed():
                    await places.acquire()
                    group.create_task(move(found))
        except* ObjectsAwayError as errors:
            raise ObjectsAwayError(str(errors.exceptions[0])) from errors

    async def _move(self, found: Listed) -> Fate:
        digest = found.digest
        if (fate := await copied(self._source, self._target, found, self._now)) is not None:
            return fate
        if (
            await self._source.size(digest) is None
        ):  # an erasure took it while it was copied: it takes the copy too
            await self._target.remove(digest, self._now() + SINCE)
            return Fate.GONE
        await self._source.remove(digest, self._now() + SINCE)
        return Fate.MOVED


async def patiently(move: Callable[[], Awaitable[Fate]]) -> Fate:
    """Again where a store is away. Raises ObjectsAwayError where it stays away."""
    for attempt in range(ATTEMPTS):
        try:
            return await move()
        except ObjectsAwayError:
            if attempt == ATTEMPTS - 1:
                raise
            await asyncio.sleep(FIRST_PAUSE_S * 2**attempt)
    raise AssertionError("the last attempt ends it")


async def copied(source: Objects, target: Objects, found: Listed, now: Clock) -> Fate | None:
    """None: it is in the target as well, and has been read there. Else why it is not."""
    digest = found.digest
    for _ in range(COPIES):
        if await target.size(digest) is None:
            try:
                await target.put(digest, source.read(digest), found.size_bytes)
            except ObjectMissingError:
                return Fate.GONE
            except (WrongDigest, ObjectTooLarge):
                return Fate.DAMAGED
        if await is_whole(target, digest):
            return None
        await target.remove(digest, now() + SINCE)
    return Fate.DAMAGED


async def is_whole(objects: Objects, digest: Digest) -> bool:
    """Whether its bytes are those that it is named by. False where there is none. Raises ObjectsAwayError."""
    sha = hashlib.sha256()
    try:
        async for piece in objects.read(digest):
            sha.update(piece)
    except ObjectMissingError:
        return False
    return sha.hexdigest() == digest
