"""Waiting: for an event or some time, and longer from one failure to the next."""

import asyncio
from collections.abc import Iterator

FIRST_PAUSE_S = 0.05


async def woken(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait for the event and take it back; False when the time ran out first."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    event.clear()
    return True


def pauses(longest_s: float) -> Iterator[float]:
    """Doubling, without end."""
    pause_s = FIRST_PAUSE_S
    while True:
        yield min(pause_s, longest_s)
        pause_s = min(2 * pause_s, longest_s)
