"""claim_p50_ms: a claim while 100 000 runs of 1 000 accounts wait.

The runs are submitted events in the log, of all priorities and a dozen models, of accounts with different weights;
dispatch's own folding makes the queue of them. Then one executor claims for eight backends in turn, one run after the
other, through `PostgresQueue.claim`, the transaction that picks a run, leases it and appends `run.claimed`, as the role
of dispatch and with its pool.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import psycopg
import uvloop

from adapters.postgres.plans import PLANNED_ONCE
from adapters.postgres.queue import PostgresQueue
from adapters.postgres.tail import PostgresTail
from bench.figures import percentile
from bench.filling import fill, waiting_runs
from bench.row import Figure, Ground
from bench.servers import Database, database
from infra.wiring import pool
from services.dispatch.folding import TOPICS
from services.ports.dispatching import Claimed
from services.ports.messages import ClaimRequest

QUEUED = 100_000
CLAIMS = 1_000
PAGE = 500
BACKENDS = tuple(f"gpu-{number}" for number in range(8))
LEASE = timedelta(seconds=45)


def measure(ground: Ground) -> Mapping[str, Figure]:
    queued, claims = ground.count(QUEUED, 2_000), ground.count(CLAIMS, 100)
    with database(ground.folder) as server:
        fill(server.url, waiting_runs(queued))
        took = uvloop.run(_claims(server, claims))
    half, worst = percentile(took, 0.5) * 1000, percentile(took, 0.99) * 1000
    detail = f"p50 {half:.3g} ms, p99 {worst:.3g} ms of {claims} claims, one after the other; {queued:,} runs queued"
    return {"claim_p50_ms": Figure(half, detail)}


async def _claims(server: Database, claims: int) -> list[float]:
    url = server.of("comfyplus_dispatch")
    async with pool(url, options=PLANNED_ONCE) as connections, PostgresTail(url) as tail:
        queue = PostgresQueue(connections)
        await _fold(tail, queue)
        with psycopg.connect(server.url, autocommit=True) as owner:
            owner.execute("VACUUM ANALYZE work.queue, work.shares, work.limits")
        for backend in BACKENDS:
            await queue.see_backend(backend, "local", True, datetime.now(UTC) + LEASE)
        took = []
        for number in range(claims + 20):
            request = ClaimRequest(executor="local", backend=BACKENDS[number % len(BACKENDS)])
            begun = time.perf_counter()
            claimed = await queue.claim(request, datetime.now(UTC) + LEASE)
            if number >= 20:  # the first prepare their statements
                took.append(time.perf_counter() - begun)
            if not isinstance(claimed, Claimed):
                raise RuntimeError("Nothing was there to claim.")
        return took


async def _fold(tail: PostgresTail, queue: PostgresQueue) -> None:
    while (page := await tail.after(await queue.position(), PAGE, TOPICS)).events:
        await queue.apply(page.events, page.upto)
