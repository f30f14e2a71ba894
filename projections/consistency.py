"""Read your own write: wait until read models have taken in a position of the log."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any

from psycopg import AsyncConnection, InterfaceError, OperationalError

from domain.ids import Position
from projections.generations import CHANNEL
from projections.pages import Connect

logger = logging.getLogger(__name__)

POLL_S = 0.25  # for what no notification told
REST_S = 5.0  # while nobody waits
_LIVE = b"""
SELECT name, position, parked_position IS NOT NULL FROM work.projections WHERE state = 'live'
"""


class Positions:
    """How far each live read model is, as this process knows. `run` keeps it up to date."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._reached: dict[str, int] = {}
        self._parked: set[str] = set()
        self._moved = asyncio.Event()
        self._looks = 0
        self._waiters = 0
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Listen, for ever; Postgres may come and go."""
        while True:
            try:
                async with await self._connect() as connection:
                    await self._follow(connection)
            except (OperationalError, InterfaceError) as error:
                logger.warning("read positions are unknown", extra={"reason": str(error)})
                await asyncio.sleep(POLL_S)

    async def reach(self, names: Iterable[str], position: Position, timeout_s: float) -> bool:
        """Whether all of the read models got there in time; False at once when one stands still before it."""
        wanted, deadline = tuple(names), time.monotonic() + timeout_s
        if all(self._reached.get(name, 0) >= position for name in wanted):
            return True
        self._waiters += 1
        self._wanted.set()
        try:
            return await self._reach(wanted, position, deadline)
        finally:
            self._waiters -= 1

    async def _reach(self, wanted: Sequence[str], position: Position, deadline: float) -> bool:
        before = self._looks
        while behind := [name for name in wanted if self._reached.get(name, 0) < position]:
            left_s = deadline - time.monotonic()
            parked = self._looks > before and any(name in self._parked for name in behind)
            if left_s <= 0 or parked:
                return False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), left_s)
        return True

    async def _follow(self, connection: AsyncConnection[Any]) -> None:
        """Read models move all the time: each step is heard of only while somebody waits."""
        while True:
            self._wanted.clear()
            await self._look(connection)
            if self._waiters:
                await connection.execute(f"LISTEN {CHANNEL}".encode())
                while self._waiters:
                    await self._look(connection)
                    await self._listen(connection)
                await connection.execute(f"UNLISTEN {CHANNEL}".encode())
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(REST_S):
                        await self._wanted.wait()

    async def _look(self, connection: AsyncConnection[Any]) -> None:
        rows = await (await connection.execute(_LIVE)).fetchall()
        self._parked = {name for name, _, parked in rows if parked}
        for name, position, _ in rows:
            self._reached[name] = position  # smaller than before only where a database was restored
        self._looks += 1
        self._tell()

    async def _listen(self, connection: AsyncConnection[Any]) -> None:
        async for told in connection.notifies(timeout=POLL_S):
            name, _, reached = told.payload.partition(":")
            self._reached[name] = max(int(reached), self._reached.get(name, 0))
            self._tell()

    def _tell(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
