"""swap_ms: how long the change from one build of a read model to the next takes, under live reads and writes.

Relay and builder run as the product's own processes; a process beside them writes runs and reads them through the
API's `Reader` as their owner, without a pause, over four connections each way. Meanwhile `run_status` is rebuilt and
swapped, as `comfyplus replay run_status` does it, several times. Every read must succeed, must find the run it
asks for once it was there, and must not show an earlier position of a run than the read before: else the
measurement fails. The figure is the median of the swaps; the longest a reader waited is in the detail.
"""

import asyncio
import multiprocessing
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.synchronize import Event
from statistics import median
from typing import Any
from uuid import UUID

import msgspec
import uvloop
from msgspec import Struct
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.log import PostgresLog
from bench import stories
from bench.figures import percentile, spread
from bench.reading import Sight
from bench.row import Figure, Ground
from bench.servers import whole
from infra.settings import Settings
from infra.wiring import connect, new_id, pool
from projections import run_status
from projections.reading import Reader
from projections.rebuild import BusyError, Rebuilt, rebuild
from projections.run_status import RUN_STATUS

SWAPS = 9
WRITERS, READERS = 4, 4
REMEMBERED = 200  # runs that may still be asked for
RECENT = 20
HISTORY = 50_000  # events before the first rebuild
WRITE_PAUSE_S = 0.004
LET_GO_S = 10.0
OWNER = stories.OWNERS[0]


class Traffic(Struct):
    """What the process of readers and writers saw."""

    writes: int = 0
    reads: int = 0
    failed: int = 0
    missing: int = 0
    backward: int = 0
    longest_ms: float = 0
    p99_ms: float = 0


class Known(Struct):
    """A run that is being read: its stream, and the newest position anybody has seen of it."""

    stream: UUID
    position: int


def measure(ground: Ground) -> Mapping[str, Figure]:
    with whole(ground.folder, "relay", "project") as running:
        settings = running.settings
        uvloop.run(_history(settings, ground.count(HISTORY, 2_000)))
        context = multiprocessing.get_context("spawn")
        stop, begun = context.Event(), context.Event()
        receiving, sending = context.Pipe(duplex=False)
        process = context.Process(
            target=_traffic, args=(settings.to_environment(), begun, stop, sending), daemon=True
        )
        process.start()
        if not begun.wait(60):
            raise RuntimeError("The readers and writers did not begin.")
        swaps = uvloop.run(_swaps(settings, ground.rounds(SWAPS)))
        stop.set()
        seen = msgspec.msgpack.decode(receiving.recv_bytes(), type=Traffic)
        process.join(30)
    wrong = f"{seen.failed} failed, {seen.missing} missing, {seen.backward} backward"
    if seen.failed or seen.missing or seen.backward:
        raise RuntimeError(f"Of {seen.reads} reads {wrong}.")
    detail = (
        f"{spread(swaps)}, {len(swaps)} swaps under {seen.reads:,} reads and {seen.writes:,} writes: {wrong}; "
        f"reads p99 {seen.p99_ms:.3g} ms, the longest {seen.longest_ms:.3g} ms"
    )
    return {"swap_ms": Figure(median(swaps), detail)}


async def _swaps(settings: Settings, times: int) -> list[float]:
    took = []
    for _ in range(times):
        took.append((await _rebuilt(str(settings.project_database_url))).swap_s * 1000)
    return took


async def _rebuilt(url: str) -> Rebuilt:
    async with asyncio.timeout(LET_GO_S):
        while True:
            with suppress(
                BusyError
            ):  # the one before lets go of it when the server has seen its connection end
                return await rebuild(RUN_STATUS, connect(url), grace_s=1.0)
            await asyncio.sleep(0.01)


async def _history(settings: Settings, events: int) -> None:
    """Runs that are over, so that a rebuild has something to do."""
    app = str(settings.app_database_url)
    connections: AsyncConnectionPool[Any] = AsyncConnectionPool(app, min_size=1, open=False)
    async with (
        connections,
        PostgresLog(app, connections) as log,
        Sight(str(settings.query_database_url)) as sight,
    ):

        async def write(runs: int) -> int:
            position = 0
            for _ in range(runs):
                position = await _live(log, new_id())
            return position

        last = max(await asyncio.gather(*(write(events // 5 // 32) for _ in range(32))))
        await sight.reach(("run_status",), last)


async def _live(log: PostgresLog, stream: UUID, pause_s: float = 0) -> int:
    """A whole run, an event a command; returns the last position."""
    position = 0
    for version, event in enumerate(stories.run(OWNER)):
        position = (await log.append(stories.entry(stream, version, event, OWNER))).last
        if pause_s:
            await asyncio.sleep(pause_s)
    return position


def _traffic(environment: dict[str, str], begun: Event, stop: Event, sending: Any) -> None:
    settings = Settings.from_environment(environment)
    sending.send_bytes(msgspec.msgpack.encode(uvloop.run(_busy(settings, begun, stop))))


async def _busy(settings: Settings, begun: Event, stop: Event) -> Traffic:
    app, query = str(settings.app_database_url), str(settings.query_database_url)
    seen, known, took = Traffic(), [Known(new_id(), 0)], list[float]()
    async with pool(app) as writing, PostgresLog(app, writing) as log, pool(query, size=READERS) as reading:
        reader = Reader(reading)

        async def write() -> None:
            while not stop.is_set():
                stream = new_id()
                known.append(Known(stream, 0))
                await _live(log, stream, pause_s=WRITE_PAUSE_S)
                seen.writes += 5
                if len(known) > REMEMBERED:
                    known.pop(0)

        async def read() -> None:
            while not stop.is_set():
                await _read(reader, random.choice(known[-RECENT:]), seen, took)

        begun.set()
        await asyncio.gather(*(write() for _ in range(WRITERS)), *(read() for _ in range(READERS)))
    seen.longest_ms, seen.p99_ms = max(took) * 1000, percentile(took, 0.99) * 1000
    return seen


async def _read(reader: Reader, run: Known, seen: Traffic, took: list[float]) -> None:
    """Ask for a run; what was seen before the question must be in the answer."""
    before, asked_at = run.position, time.perf_counter()
    try:
        async with reader.for_account(OWNER) as cursor:
            found = await run_status.run(cursor, run.stream)  # type: ignore[arg-type]  # a RunId is a UUID
    except Exception:
        seen.failed += 1
        raise
    took.append(time.perf_counter() - asked_at)
    seen.reads += 1
    if found is None:
        seen.missing += before > 0
        return
    position = msgspec.json.decode(found)["position"]
    seen.backward += position < before
    run.position = max(run.position, position)
