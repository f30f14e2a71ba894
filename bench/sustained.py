"""sustained_events_s: events a second through everything, from the append to the last read model.

64 writers in one process append runs from their submission to their end, an event a command, each as soon as the
one before is in the log (closed loop). Relay, NATS and the builder of all four read models run as the product's
own processes beside them. The clock stops when every read model that takes in runs, the audit trail too, has
committed the last event, as a listening reader of the query role hears it.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from itertools import cycle
from statistics import median
from typing import Any

import uvloop
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.log import PostgresLog
from bench import stories
from bench.figures import spread
from bench.reading import Sight
from bench.row import Figure, Ground
from bench.servers import whole
from domain.ids import AccountId
from infra.settings import Settings
from infra.wiring import new_id

WRITERS = 64
EVENTS = 100_000
ROUNDS = 3
READ_MODELS = ("run_status", "audit_trail")


def measure(ground: Ground) -> Mapping[str, Figure]:
    events = ground.count(EVENTS, 5_000)
    with whole(ground.folder, "relay", "project") as running:
        rounds = [uvloop.run(_round(running.settings, events)) for _ in range(ground.rounds(ROUNDS))]
    rates, appended = [rate for rate, _ in rounds], [rate for _, rate in rounds]
    detail = f"{spread(rates)}, {events:,} events a round; appended at {spread(appended)} events/s"
    return {"sustained_events_s": Figure(median(rates), detail)}


async def _round(settings: Settings, events: int) -> tuple[float, float]:
    """Events a second until visible, and until appended."""
    app = str(settings.app_database_url)
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
        app, min_size=1, open=False, kwargs={"autocommit": True}
    )
    async with pool, PostgresLog(app, pool) as log, Sight(str(settings.query_database_url)) as sight:
        runs = iter(range(events // 5))
        begun = time.perf_counter()
        last = max(await asyncio.gather(*(_write(log, runs, owner) for _, owner in _writers())))
        appended_s = time.perf_counter() - begun
        await sight.reach(READ_MODELS, last)
        return events / (time.perf_counter() - begun), events / appended_s


def _writers() -> Iterator[tuple[int, AccountId]]:
    return zip(range(WRITERS), cycle(stories.OWNERS), strict=False)


async def _write(log: PostgresLog, runs: Iterator[int], owner: AccountId) -> int:
    """Append whole runs until there are none left; returns the last position."""
    position = 0
    for _ in runs:
        stream = new_id()
        for version, event in enumerate(stories.run(owner)):
            position = (await log.append(stories.entry(stream, version, event, owner))).last
    return position
