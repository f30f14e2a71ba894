"""A listening reader: what an account's queries could see, and when."""

import asyncio
import time
from types import TracebackType
from typing import Any

import psycopg

from projections.generations import CHANNEL

POLL_S = 0.25
_LIVE = "SELECT name, position FROM work.projections WHERE state = 'live'"


class Sight:
    """Hears how far the read models are, as the API does for Consistent-With; opened as the query role."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.reached: dict[str, int] = {}
        self.seen_at: dict[str, list[tuple[int, float]]] = {}
        """By read model: up to which position, and when (`time.perf_counter`) it was heard."""

    async def __aenter__(self) -> "Sight":
        self._connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True)
        await self._connection.execute(f"LISTEN {CHANNEL}".encode())
        self._moved = asyncio.Event()
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._connection.close()

    async def reach(self, names: tuple[str, ...], position: int, within_s: float = 60) -> None:
        """Wait until all of the read models are live and there. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while any(self.reached.get(name, -1) < position for name in names):
                await self._moved.wait()

    async def _listen(self) -> None:
        while True:
            async for told in self._connection.notifies(timeout=POLL_S):
                now = time.perf_counter()
                name, _, position = told.payload.partition(":")
                self.seen_at.setdefault(name, []).append((int(position), now))
                self._move(name, int(position))
            rows = await (await self._connection.execute(_LIVE)).fetchall()
            for name, position in rows:  # a new build says nothing of what it took in before it was live
                self._move(name, position)

    def _move(self, name: str, position: int) -> None:
        self.reached[name] = max(position, self.reached.get(name, -1))
        self._moved.set()
        self._moved = asyncio.Event()


def delays(seen: list[tuple[int, float]], due: dict[int, float]) -> list[float]:
    """For each position, seconds from when it was due until a reader could see it."""
    found, places = [], iter(sorted(seen))
    upto, at = next(places)
    for position in sorted(due):
        while upto < position:
            upto, at = next(places)
        found.append(at - due[position])
    return found


async def count(url: str, query: str) -> Any:
    """One value, asked as the role of the URL."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        row = await (await connection.execute(query.encode())).fetchone()
    return None if row is None else row[0]
