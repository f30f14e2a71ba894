"""Read your own write: wait until read models have taken in a position of the log."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable
from typing import Any

from psycopg import AsyncConnection, InterfaceError, OperationalError

from domain.ids import Position
from projections.pages import Connect
from projections.writer import CHANNEL

logger = logging.getLogger(__name__)

POLL_S = 0.25  # for what no notification told
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

    async def run(self) -> None:
        """Listen, for ever; Postgres may come and go."""
        while True:
            try:
                async with await self._connect() as connection:
                    await connection.execute(f"LISTEN {CHANNEL}".encode())
                    await self._listen(connection)
            except (OperationalError, InterfaceError) as error:
                logger.warning("read positions are unknown", extra={"reason": str(error)})
                await asyncio.sleep(POLL_S)

    async def reach(self, names: Iterable[str], position: Position, timeout_s: float) -> bool:
        """Whether all of the read models got there in time; False at once when one stands still before it."""
        wanted, deadline = tuple(names), time.monotonic() + timeout_s
        while behind := [name for name in wanted if self._reached.get(name, 0) < position]:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or any(name in self._parked for name in behind):
                return False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), left_s)
        return True

    async def _listen(self, connection: AsyncConnection[Any]) -> None:
        while True:
            rows = await (await connection.execute(_LIVE)).fetchall()
            self._parked = {name for name, _, parked in rows if parked}
            for name, position, _ in rows:
                self._reached[name] = position  # smaller than before only where a database was restored
            self._tell()
            async for told in connection.notifies(timeout=POLL_S):
                name, _, reached = told.payload.partition(":")
                self._reached[name] = max(int(reached), self._reached.get(name, 0))
                self._tell()

    def _tell(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
