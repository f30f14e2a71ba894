"""Dispatch on a real PostgreSQL while NATS or the log is away."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from msgspec import Struct

from adapters.identity.secrets import ServerSecrets
from adapters.postgres.backend_table import PostgresBackendTable
from adapters.postgres.queue import PostgresQueue
from commands.dispatcher import Dispatcher
from commands.needs import Needs
from commands.ports import LogUnavailableError
from domain.ids import Position, RunId
from domain.run import RunAttemptLost
from infra.settings import Settings, load_secret
from infra.wiring import needs
from services.dispatch.answering import Answering
from services.dispatch.folding import Folding
from services.dispatch.roll import Roll
from services.dispatch.rousing import Rousing
from services.dispatch.service import dispatch, side_by_side
from services.dispatch.sweeping import Sweeping
from services.ports.dispatching import LogPage, Responder
from services.ports.messages import ClaimRequest, HeldAttempt
from tests.execution.test_queue import Ground, opened, submitted
from tests.servers import Database

LEASE = timedelta(seconds=45)


class Line:
    """A line to executors that can be cut. Counts how often it was looked at."""

    def __init__(self) -> None:
        self.cut = False
        self.looks = 0

    @property
    def listening(self) -> bool:
        self.looks += 1
        return not self.cut

    async def serve(self, responders: dict[str, Responder]) -> None: ...

    async def wake(self) -> None: ...

    async def cancel(self, executor: str, attempt: HeldAttempt) -> None: ...

    async def looked_at(self, times: int = 3) -> None:
        after = self.looks + times
        async with asyncio.timeout(15):
            while self.looks < after:
                await asyncio.sleep(0.005)


class Clock:
    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def now(self) -> datetime:
        return self.at


class AwayLog:
    """A log that cannot be read."""

    async def after(self, position: Position, limit: int, topics: frozenset[str]) -> LogPage:
        raise LogUnavailableError("The log cannot be read at the moment.")

    async def grown(self, timeout_s: float) -> None:
        raise AssertionError("nobody gets so far")


class Office(Struct, frozen=True):
    """What dispatch is made of."""

    ground: Ground
    wants: Needs
    secrets: ServerSecrets
    queue: PostgresQueue
    line: Line
    clock: Clock
    sweeping: Sweeping

    def roll(self) -> Roll:
        """One that looks at the log each time."""
        table = PostgresBackendTable(self.ground.pool)
        return Roll(self.queue, table, Dispatcher(self.wants), fresh_s=0)

    async def held(self) -> RunId:
        """A run under way whose lease ends soon."""
        run = RunId(uuid4())
        await self.ground.write(run, 0, submitted())
        await self.ground.fold(self.queue)
        assert await self.queue.claim(ClaimRequest(executor="gpu-1", backend="big"), self.clock.at + LEASE)
        return run

    async def is_lost(self, run: RunId) -> bool:
        return any(isinstance(each.event, RunAttemptLost) for each in await self.ground.log.read(run))


@asynccontextmanager
async def office(database: Database, folder: Path) -> AsyncIterator[Office]:
    settings = Settings(data=folder, secret="a secret that only tests know, long enough")
    secrets, line, clock = ServerSecrets(load_secret(settings)), Line(), Clock()
    async with (
        opened(database) as ground,
        needs(settings, secrets, database.url_of("comfyplus_dispatch")) as wants,
    ):
        queue = PostgresQueue(ground.pool)
        sweeping = Sweeping(queue, Dispatcher(wants), line, clock.now, every_s=0.01, lease=LEASE)
        yield Office(ground, wants, secrets, queue, line, clock, sweeping)


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Cancelled at the end, until it is over: psycopg waits by asyncio.wait_for, which can swallow that once."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        while not task.done():
            task.cancel()
            await asyncio.sleep(0.01)
        with suppress(asyncio.CancelledError):
            task.result()


async def test_an_outage_of_nats_costs_no_attempt(database: Database, tmp_path: Path) -> None:
    async with office(database, tmp_path) as made, beside(made.sweeping.sweep_for_ever()):
        run = await made.held()
        await made.line.looked_at()
        made.line.cut = True
        await made.line.looked_at()
        made.clock.at += 10 * LEASE  # nobody could renew anything in that time
        await made.line.looked_at()
        made.line.cut = False
        await made.line.looked_at()
        assert not await made.is_lost(run)

        made.clock.at += LEASE  # now the executor could have, and has not
        async with asyncio.timeout(15):
            while not await made.is_lost(run):
                await asyncio.sleep(0.01)


class Nobody:
    """Keeps no secrets."""

    async def keep(self, run: RunId, secrets: bytes) -> None:
        raise AssertionError("Nobody sends any.")

    async def tell(self, run: RunId) -> bytes | None:
        return None


async def test_an_outage_of_the_log_is_a_warning(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with office(database, tmp_path) as made:
        rousing = Rousing(made.queue, made.line)
        folding = Folding(AwayLog(), made.queue, made.line, made.wants.streams)
        dispatcher = Dispatcher(made.wants)
        answering = Answering(
            made.queue,
            folding,
            made.roll(),
            dispatcher,
            made.wants.contents,
            made.secrets,
            made.clock.now,
            Nobody(),
            rousing,
        )
        with caplog.at_level(logging.WARNING):
            async with beside(dispatch(made.line, folding, answering, made.sweeping, rousing)):
                await made.line.looked_at()

    (told,) = [record for record in caplog.records if record.name == "services.dispatch.service"]
    assert (told.levelname, told.exc_info) == ("WARNING", None)
    assert vars(told)["reason"] == "The log cannot be read at the moment."


async def test_told_to_stop_it_stops_even_where_a_wait_has_missed_it() -> None:
    missed, begun = 0, asyncio.Event()

    async def deaf_once() -> None:
        nonlocal missed
        while True:
            begun.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                missed += 1
                if missed > 1:
                    raise

    async def plain() -> None:
        await asyncio.sleep(60)

    task = asyncio.create_task(side_by_side(deaf_once(), plain()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 30)
    assert missed == 2


async def test_what_fails_takes_the_others_with_it() -> None:
    async def failing() -> None:
        raise ValueError("on purpose")

    async with asyncio.timeout(30):
        with pytest.raises(ValueError, match="on purpose"):
            await side_by_side(failing(), asyncio.sleep(60))
