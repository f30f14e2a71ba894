"""Waiting for a run to be over, for those who want one answer instead of a stream."""

import asyncio
from collections.abc import Sequence

from adapters.http.parts import Parts
from domain.event import AnyRecorded
from domain.ids import AccountId, RunId
from domain.run import OVER, RUN
from services.ports.watching import FactSeen, GapFeared, Watcher

LOOK_S = 10.0  # a hint may be lost: the log is read from time to time


async def until_over(
    parts: Parts, account: AccountId, run: RunId, wait_s: float
) -> Sequence[AnyRecorded] | None:
    """Everything that happened to it; None: it goes on after `wait_s` seconds. Raises LogUnavailableError."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    async with parts.live.watch(account, run) as watch:
        while True:
            happened = await parts.log.read(run)
            state = RUN.fold(RUN.initial, [each.event for each in happened])
            if state.status in OVER:
                return happened
            if not await _something(watch, deadline):
                return None


async def _something(watch: Watcher, deadline: float) -> bool:
    """Whether there is a reason to look again, and time left."""
    loop = asyncio.get_running_loop()
    look_at = min(deadline, loop.time() + LOOK_S)
    while (left_s := look_at - loop.time()) > 0:
        seen = await watch.next(left_s)
        if isinstance(seen, FactSeen | GapFeared):
            return True
    return look_at < deadline
