"""A whole of a test's own, whose errands run when the test says so."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from tests.http.executor import by_hand
from tests.http.person import Person
from tests.http.whole import Whole

PATIENCE_S = 30.0


def errand(work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], AbstractAsyncContextManager[None]]:
    """For `beside`: an errand that runs until it is cancelled."""

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        task = asyncio.create_task(work())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    return running


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await holds():
            await asyncio.sleep(0.02)


def value(whole: Whole, query: str, *values: object) -> Any:
    return whole.head.value(query, *values)


async def drawn(whole: Whole, person: Person, *bodies: bytes, lost: bytes | None = None) -> str:
    """A run that has these outputs; `lost`: that of an attempt which came to nothing."""
    run = await person.run(await person.workflow())
    async with by_hand(whole) as hand:
        claimed = await hand.claim(run)
        if lost is not None:
            await hand.store(claimed, lost)
            await hand.fail(claimed)
            return run
        for index, body in enumerate(bodies):
            await hand.store(claimed, body, index=index)
        await hand.succeed(claimed)
    return run
