"""replay_upsert_events_s, replay_bulk_events_s, replay_flatness: `run_status` built anew from a long log.

The log holds 1 000 000 events of runs from their submission to their end, 20 000 runs under way at once and taking
turns, so that no batch meets a run twice: the worst case for folding. `projections.rebuild` builds the read model
from the first event to the swap: once in bulk, as `comfyplus replay` does (fold in memory, COPY, then indexes), once
in batches of upserts into finished tables, as the live builder does. Flatness is the time an event took at 1 000 000
over that at 10 000 events, of the worse way; what a rebuild costs in any case is in both.
"""

import time
from collections.abc import Mapping
from statistics import median

import psycopg
import uvloop

from bench.figures import spread
from bench.filling import fill, runs_in_turn
from bench.row import Figure, Ground
from bench.servers import Database, database
from infra.wiring import connect
from projections.rebuild import rebuild
from projections.run_status import RUN_STATUS

LONG, SHORT = 1_000_000, 10_000
AT_ONCE = 20_000
BULK_ROUNDS, UPSERT_ROUNDS, SHORT_ROUNDS = 3, 2, 5


def measure(ground: Ground) -> Mapping[str, Figure]:
    long = ground.count(LONG, 100_000)
    with database(ground.folder / "long") as server:
        fill(server.url, runs_in_turn(long, AT_ONCE))
        bulk = [_rate(server, long, bulk=True) for _ in range(ground.rounds(BULK_ROUNDS))]
        upsert = [_rate(server, long, bulk=False) for _ in range(ground.rounds(UPSERT_ROUNDS))]
    with database(ground.folder / "short") as server:
        fill(server.url, runs_in_turn(SHORT, AT_ONCE // 10))
        short_bulk = [_rate(server, SHORT, bulk=True) for _ in range(ground.rounds(SHORT_ROUNDS))]
        short_upsert = [_rate(server, SHORT, bulk=False) for _ in range(ground.rounds(SHORT_ROUNDS))]
    flat = {
        "bulk": median(short_bulk) / median(bulk),
        "upsert": median(short_upsert) / median(upsert),
    }
    return {
        "replay_upsert_events_s": Figure(median(upsert), f"{spread(upsert)}, {long:,} events"),
        "replay_bulk_events_s": Figure(median(bulk), f"{spread(bulk)}, {long:,} events"),
        "replay_flatness": Figure(
            max(flat.values()),
            f"bulk {flat['bulk']:.2f}, upsert {flat['upsert']:.2f}; events/s at {SHORT:,}: "
            f"bulk {spread(short_bulk)}, upsert {spread(short_upsert)}",
        ),
    }


def _rate(server: Database, events: int, *, bulk: bool) -> float:
    """Events a second, from the beginning to the swap."""
    _tidy(server)
    begun = time.perf_counter()
    rebuilt = uvloop.run(rebuild(RUN_STATUS, connect(server.of("comfyplus_project")), bulk=bulk, grace_s=0))
    took_s = time.perf_counter() - begun
    if rebuilt.position != events:
        raise RuntimeError(f"The rebuild ended at {rebuilt.position} of {events}.")
    return events / took_s


def _tidy(server: Database) -> None:
    """Drop the build before, and let Postgres write out what it owes: not this rebuild's work."""
    with psycopg.connect(server.url, autocommit=True) as owner:
        rows = owner.execute("SELECT name, generation FROM work.projections").fetchall()
        for name, generation in rows:
            owner.execute(f"DROP SCHEMA {name}_g{generation} CASCADE".encode())
        owner.execute("DELETE FROM work.projections")
        owner.execute("CHECKPOINT")
