"""visible_p50_ms, visible_p99_ms: from a command until a reader sees what it changed.

Relay, NATS and the builder of the read models run as the product's own processes. This process appends one command
every 5 ms, whether those before are through or not (open loop), and listens on a connection of the query role
for `run_status`'s commits, as the API does. A command's time counts from the moment it was due, so its own append
is in it, until the notification of the transaction that made it visible is heard. In the end every run must be
there. The figures are the medians of three rounds' percentiles.
"""

import asyncio
import time
from collections.abc import Mapping
from statistics import median
from typing import Any

import uvloop
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.log import PostgresLog
from bench import stories
from bench.figures import percentile, spread
from bench.reading import Sight, count, delays
from bench.row import Figure, Ground
from bench.servers import whole
from infra.settings import Settings
from infra.wiring import new_id

RATE = 200  # commands a second
ROUNDS = 3
SECONDS = 5.0
READ_MODEL = "run_status"


def measure(ground: Ground) -> Mapping[str, Figure]:
    with whole(ground.folder, "relay", "project") as running:
        rounds = uvloop.run(_rounds(running.settings, ground))
    halves = [percentile(each, 0.5) * 1000 for each in rounds]
    worst = [percentile(each, 0.99) * 1000 for each in rounds]
    said = f"listening reader, {RATE} commands/s open loop, {len(rounds[0])} commands a round; ms"
    return {
        "visible_p50_ms": Figure(median(halves), f"{spread(halves)}, {said}"),
        "visible_p99_ms": Figure(median(worst), f"{spread(worst)}, {said}"),
    }


async def _rounds(settings: Settings, ground: Ground) -> list[list[float]]:
    app, query = str(settings.app_database_url), str(settings.query_database_url)
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
        app, min_size=1, open=False, kwargs={"autocommit": True}
    )
    async with pool, PostgresLog(app, pool) as log:
        await _round(log, query, RATE)  # warm
        return [
            await _round(log, query, round(RATE * ground.seconds(SECONDS)))
            for _ in range(ground.rounds(ROUNDS))
        ]


async def _round(log: PostgresLog, query: str, commands: int) -> list[float]:
    due: dict[int, float] = {}

    async def command(due_at: float) -> None:
        owner = stories.OWNERS[0]
        entry = stories.entry(new_id(), 0, stories.submitted(owner), owner, keyed=True)
        due[(await log.append(entry)).last] = due_at

    async with Sight(query) as sight:
        await sight.reach((READ_MODEL,), 0)
        begun = time.perf_counter() + 0.05
        waiting = []
        for number in range(commands):
            due_at = begun + number / RATE
            await asyncio.sleep(max(0.0, due_at - time.perf_counter()))
            waiting.append(asyncio.create_task(command(due_at)))
        await asyncio.gather(*waiting)
        await sight.reach((READ_MODEL,), max(due))
        seen = sight.seen_at[READ_MODEL]
    missing = "SELECT count(*) FROM work.projections WHERE state = 'live' AND name = '{}' AND position < {}"
    if await count(query, missing.format(READ_MODEL, max(due))):
        raise RuntimeError("A position was announced that the read model has not reached.")
    return delays(seen, due)
