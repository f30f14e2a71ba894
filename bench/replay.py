"""replay_upsert_events_s, replay_bulk_events_s, replay_flatness: `run_status` built anew from a long log.

The log holds 1 000 000 events of a pool at work: 1 000 runs wait, 32 are executed, and what happens to these comes in
random order, the same each time. `projections.rebuild` builds the read model from the first event to the swap: once in
bulk, as `comfyplus replay` does (fold in memory, COPY, then indexes), once in batches of upserts into tables that have
their keys (then the other indexes), as what does not fit into memory is built. Flatness is the time an event took at
1 000 000 over that at 10 000 events, of the worse way; what a rebuild costs in any case is in both.

`detail` has the same for the worst case of folding: 20 000 runs under way that take turns, so that a run's next event
comes 20 000 events later.
"""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median

import psycopg
import uvloop
from msgspec import Struct

from bench.figures import spread
from bench.filling import Told, fill, runs_in_turn, runs_of_a_pool
from bench.row import Figure, Ground
from bench.servers import Database, database
from infra.wiring import connect
from projections.rebuild import rebuild
from projections.run_status import RUN_STATUS

LONG, SHORT = 1_000_000, 10_000
WAITING, EXECUTING = 1_000, 32
IN_TURN = 20_000
BULK_ROUNDS, UPSERT_ROUNDS, SHORT_ROUNDS = 3, 2, 5


class Rates(Struct, frozen=True):
    """Events a second of each round."""

    bulk: list[float]
    upsert: list[float]

    def __str__(self) -> str:
        return f"bulk {spread(self.bulk)}, upsert {spread(self.upsert)}"


def measure(ground: Ground) -> Mapping[str, Figure]:
    count = ground.count(LONG, 100_000)
    rounds = ground.rounds(BULK_ROUNDS), ground.rounds(UPSERT_ROUNDS)
    short_rounds = ground.rounds(SHORT_ROUNDS), ground.rounds(SHORT_ROUNDS)
    folder = ground.folder
    long = _rates(folder / "long", runs_of_a_pool(count, WAITING, EXECUTING), *rounds)
    short = _rates(folder / "short", runs_of_a_pool(SHORT, WAITING, EXECUTING), *short_rounds)
    long_worst = _rates(folder / "long-worst", runs_in_turn(count, IN_TURN), 1, 1)
    short_worst = _rates(folder / "short-worst", runs_in_turn(SHORT, IN_TURN // 10), *short_rounds)
    flat, flat_worst = _flatness(short, long), _flatness(short_worst, long_worst)
    return {
        "replay_upsert_events_s": _figure(long.upsert, count, long_worst.upsert),
        "replay_bulk_events_s": _figure(long.bulk, count, long_worst.bulk),
        "replay_flatness": Figure(
            max(flat.values()),
            f"bulk {flat['bulk']:.2f}, upsert {flat['upsert']:.2f}; events/s at {SHORT:,}: {short}; "
            f"worst case: bulk {flat_worst['bulk']:.2f}, upsert {flat_worst['upsert']:.2f}",
        ),
    }


def _figure(rates: list[float], events: int, worst: list[float]) -> Figure:
    return Figure(median(rates), f"{spread(rates)}, {events:,} events; worst case {median(worst):,.0f}")


def _flatness(short: Rates, long: Rates) -> dict[str, float]:
    return {
        "bulk": median(short.bulk) / median(long.bulk),
        "upsert": median(short.upsert) / median(long.upsert),
    }


def _rates(folder: Path, told: Iterable[Told], bulk_rounds: int, upsert_rounds: int) -> Rates:
    with database(folder) as server:
        events = fill(server.url, told)
        return Rates(
            bulk=[_rate(server, events, bulk=True) for _ in range(bulk_rounds)],
            upsert=[_rate(server, events, bulk=False) for _ in range(upsert_rounds)],
        )


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
