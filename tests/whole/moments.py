"""Waiting for something to stand in the log, and noticing it the moment it is committed."""

import asyncio
import time
from collections.abc import Callable

import psycopg

from tests.embedded.wholes import lives
from tests.servers import looked_up
from tests.whole.truth import Fact, read_log
from tests.whole.whole import LOOK_S, PATIENCE_S, Whole


def head(whole: Whole) -> int:
    ((position,),) = looked_up(whole.owner_url, "SELECT max(notification_id) FROM log.events")
    return int(position or 0)


async def grown_to(whole: Whole, position: int) -> None:
    """Return the moment the log is so long. PostgreSQL may be on its way back."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            async with await _listening(whole) as connection:
                while head(whole) < position:
                    assert time.monotonic() < deadline, f"the log never reached position {position}"
                    async for _ in connection.notifies(timeout=1, stop_after=1):
                        break
                return
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "PostgreSQL is not restarted"
            await asyncio.sleep(LOOK_S)


async def happens(whole: Whole, condition: Callable[[Fact], bool], what: str) -> Fact:
    """The first such event, as soon as it is in the log."""
    async with await _listening(whole) as connection:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            for fact in read_log(whole).facts:
                if condition(fact):
                    return fact
            assert time.monotonic() < deadline, f"it never came to {what}"
            async for _ in connection.notifies(timeout=1, stop_after=1):
                break


async def true(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not {what} within {PATIENCE_S:g} s"
        await asyncio.sleep(LOOK_S)


async def restarted(whole: Whole, name: str, died: int) -> None:
    await true(lambda: (pid := whole.pids()[name]) != died and lives(pid), f"{name} restarted")


async def _listening(whole: Whole) -> psycopg.AsyncConnection:
    connection = await psycopg.AsyncConnection.connect(whole.owner_url, autocommit=True, connect_timeout=5)
    await connection.execute("LISTEN log_events")
    return connection
