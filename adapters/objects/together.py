"""Small objects that are to be stored in one turn of the event loop, with one token: sent by one request.

A picture and its thumbnails mostly are. What a request costs, here and in the API, is many times what its bytes do.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from msgspec import Struct

from domain.ids import Digest
from services.ports.executing import ObjectRefusedError, ObjectsUnavailableError, TokenRefusedError

SMALL_BYTES = 128 * 1024  # each
MOST = 4  # at once: what the API takes is not less than so many of these
AGAIN_S = 600.0  # so long everything is sent alone after the API did not take some together: it may know less than we

Send: TypeAlias = Callable[[Mapping[Digest, bytes], str], Awaitable[None]]
"""Stores all of them, with a token. Raises ObjectRefusedError, ObjectsUnavailableError, TokenRefusedError."""


class _Group(Struct, eq=False):
    objects: dict[Digest, bytes]
    outcome: asyncio.Future[bool]


class Together:
    def __init__(self, send: Send) -> None:
        self._send = send
        self._open: dict[str, _Group] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._from = 0.0

    async def put(self, digest: Digest, body: bytes, token: str) -> bool:
        """False: it is to be sent alone. Raises ObjectsUnavailableError, TokenRefusedError."""
        loop = asyncio.get_running_loop()
        if len(body) > SMALL_BYTES or loop.time() < self._from:
            return False
        group = self._open.get(token)
        if group is None:
            group = self._open[token] = _Group({}, loop.create_future())
            loop.call_soon(self._close, token)
        elif len(group.objects) >= MOST:
            return False
        group.objects[digest] = body
        return await asyncio.shield(group.outcome)  # the others do not leave with us

    def _close(self, token: str) -> None:
        group = self._open.pop(token)
        if len(group.objects) == 1:
            group.outcome.set_result(False)
            return
        group.outcome.add_done_callback(asyncio.Future.exception)  # though nobody may wait any more
        task = asyncio.create_task(self._carry_out(group, token))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _carry_out(self, group: _Group, token: str) -> None:
        try:
            await self._send(group.objects, token)
        except ObjectRefusedError:  # which one is at fault, if any is, shows when they are sent alone
            self._from = asyncio.get_running_loop().time() + AGAIN_S
            group.outcome.set_result(False)
        except (ObjectsUnavailableError, TokenRefusedError) as error:
            group.outcome.set_exception(error)
        else:
            group.outcome.set_result(True)
