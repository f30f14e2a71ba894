"""Bodies on their way into a store, and how to look at what came of them."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator

from commands.ports import Objects
from domain.ids import Digest

BODY = os.urandom(700_000)


def digest_of(body: bytes) -> Digest:
    return Digest(hashlib.sha256(body).hexdigest())


DIGEST = digest_of(BODY)


async def chunks(*bodies: bytes) -> AsyncIterator[bytes]:
    for body in bodies:
        await asyncio.sleep(0)
        yield body


async def breaking_off(body: bytes) -> AsyncIterator[bytes]:
    yield body
    raise ConnectionResetError


async def endless() -> AsyncIterator[bytes]:
    while True:
        await asyncio.sleep(0.001)
        yield BODY


async def got(objects: Objects, digest: Digest, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([piece async for piece in objects.read(digest, start, end)])


async def all_in(objects: Objects) -> dict[Digest, int]:
    return {each.digest: each.size_bytes async for each in objects.listed()}
