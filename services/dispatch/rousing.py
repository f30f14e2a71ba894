"""Executors are woken once more when a run is theirs that was left to another's backend for a moment."""

import asyncio

from services.ports.dispatching import DispatchServer, RunQueue


class Rousing:
    """Whoever was told that there is nothing yet asks again when woken: only the first of the moments is kept."""

    def __init__(self, queue: RunQueue, server: DispatchServer) -> None:
        self._queue = queue
        self._server = server
        self._at: float | None = None
        self._sooner = asyncio.Event()

    def rouse_in(self, s: float) -> None:
        at = asyncio.get_running_loop().time() + s
        if self._at is None or at < self._at:
            self._at = at
            self._sooner.set()

    async def rouse_for_ever(self) -> None:
        """Until cancelled. Nobody is woken for what has been taken meanwhile."""
        while True:
            try:
                async with asyncio.timeout_at(self._at):
                    await self._sooner.wait()
            except TimeoutError:
                self._at = None
                if await self._queue.waiting():
                    await self._server.wake()
            else:
                self._sooner.clear()
