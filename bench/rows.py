"""Every row there is: what it must reach, and what measures it. The order is the order of running."""

from bench import (
    claim,
    http,
    live,
    log,
    overhead,
    paced,
    pages,
    replay,
    sealing,
    start,
    sustained,
    swap,
    visible,
)
from bench.row import Measurement, Target

TARGETS: dict[str, Target] = {
    "log_vs_library": Target("ratio", 25, True),
    "log_vs_pgbench": Target("ratio", 1, True),
    "log_lone_vs_library": Target("ratio", 0.5, False),
    "log_seal_cost": Target("ratio", 0.15, False),
    "http_vs_empty": Target("ratio", 0.4, True),
    "visible_p50_ms": Target("ms", 3, False),
    "visible_p99_ms": Target("ms", 10, False),
    "sustained_events_s": Target("events/s", 10_000, True),
    "replay_upsert_events_s": Target("events/s", 100_000, True),
    "replay_bulk_events_s": Target("events/s", 250_000, True),
    "replay_flatness": Target("ratio", 1.3, False),
    "swap_ms": Target("ms", 50, False),
    "overhead_zero_vs_wrapper": Target("ratio", 0.5, True),
    "overhead_200ms_vs_direct": Target("ratio", 0.98, True),
    "cpu_ms_per_run": Target("ms", 8, False),
    "pages_vs_bare": Target("ratio", 0.5, True),
    "pages_flatness": Target("ratio", 1.5, False),
    "live_p99_ms": Target("ms", 50, False),
    "claim_p50_ms": Target("ms", 5, False),
    "start_s": Target("s", 3, False),
}

MEASUREMENTS: dict[tuple[str, ...], Measurement] = {
    ("log_vs_library", "log_vs_pgbench", "log_lone_vs_library"): log.measure,
    ("log_seal_cost",): sealing.measure,
    ("http_vs_empty",): http.measure,
    ("visible_p50_ms", "visible_p99_ms"): visible.measure,
    ("sustained_events_s",): sustained.measure,
    ("replay_upsert_events_s", "replay_bulk_events_s", "replay_flatness"): replay.measure,
    ("swap_ms",): swap.measure,
    ("overhead_zero_vs_wrapper", "cpu_ms_per_run"): overhead.measure,
    ("overhead_200ms_vs_direct",): paced.measure,
    ("pages_vs_bare", "pages_flatness"): pages.measure,
    ("live_p99_ms",): live.measure,
    ("claim_p50_ms",): claim.measure,
    ("start_s",): start.measure,
}
