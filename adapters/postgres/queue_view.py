"""The queue as people look at it: where a run stands, how much there is, what has failed for want of a machine."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
import psycopg
import psycopg_pool
from psycopg_pool import AsyncConnectionPool

from commands.ports import LogUnavailableError
from domain.ids import AccountId, RunId
from domain.outcome import Failure
from services.ports.queueing import DeadRun, Place, PoolStats, Stats

Values: TypeAlias = Sequence[Any] | Mapping[str, Any]

STATS_S = 1.0  # everybody may look, as often as they like

# Its turn comes when its account has had what it had before, and its own runs before this one on top. Until then each
# other account gets as many of its runs as it takes to come so far.
PLACE = """
WITH mine AS (
    SELECT q.run, q.owner, q.pool, q.rank, coalesce(p.recent_s / nullif(p.recent_runs, 0), %(run_s)s) AS run_s,
        p.recent_runs > 0 AS known,
        coalesce((SELECT max(s.clock_us) FROM work.shares AS s WHERE s.pool = q.pool), 0) AS clock_us
    FROM work.queue AS q LEFT JOIN work.pools AS p ON p.name = q.pool
    WHERE q.run = %(run)s AND q.state = 'waiting'
), share AS (
    SELECT s.owner, s.waiting, greatest(s.served_us, mine.clock_us) AS served_us,
        greatest(1e6 * coalesce(s.recent_s / nullif(s.recent_runs, 0), mine.run_s) / coalesce(l.weight, 1), 1) AS run_us
    FROM mine JOIN work.shares AS s ON s.pool = mine.pool AND (s.waiting > 0 OR s.owner = mine.owner)
    LEFT JOIN work.limits AS l ON l.owner = s.owner
), turn AS (
    SELECT own.before, share.served_us + own.before * share.run_us AS at_us
    FROM mine JOIN share ON share.owner = mine.owner CROSS JOIN LATERAL (
        SELECT count(*) AS before FROM work.queue AS q
        WHERE q.state = 'waiting' AND q.pool = mine.pool AND q.owner = mine.owner
            AND (q.rank, q.run) < (mine.rank, mine.run)
    ) AS own
), ahead AS (
    SELECT coalesce(sum(
        least(share.waiting, ceil(greatest(0, turn.at_us - share.served_us) / share.run_us))), 0) AS runs
    FROM mine CROSS JOIN turn JOIN share ON share.owner <> mine.owner
)
SELECT (turn.before + ahead.runs)::bigint + 1, mine.known, mine.run_s,
    (SELECT count(*) FROM work.queue AS held WHERE held.state = 'held' AND held.pool = mine.pool),
    (SELECT count(*) FROM work.backends AS b WHERE b.live),
    coalesce((SELECT max(p.pause_reason) FROM work.pools AS p WHERE p.name IN ('', mine.pool) AND p.paused), '')
FROM mine CROSS JOIN turn CROSS JOIN ahead
"""
STATS = """
WITH waits AS (
    SELECT pool, sum(waiting) AS runs FROM work.shares GROUP BY pool
), oldest AS (
    SELECT pool, extract(epoch FROM now() - min(not_before))::float8 AS s FROM work.queue
    WHERE state = 'waiting' AND not_before <= now() GROUP BY pool
), held AS (
    SELECT pool, count(*) AS runs FROM work.queue WHERE state = 'held' GROUP BY pool
)
SELECT name, coalesce(p.class, 0), coalesce(p.paused, false), coalesce(held.runs, 0), coalesce(waits.runs, 0),
    coalesce(p.succeeded, 0), coalesce(p.failed, 0), coalesce(p.cancelled, 0), oldest.s,
    p.recent_s / nullif(p.recent_runs, 0)
FROM work.pools AS p FULL JOIN (SELECT pool AS name FROM waits) AS shared USING (name)
LEFT JOIN waits ON waits.pool = name LEFT JOIN held ON held.pool = name LEFT JOIN oldest ON oldest.pool = name
ORDER BY name LIMIT 1001
"""
DEAD = """
SELECT run, owner, pool, epoch, failed_at, failure::text FROM work.queue
WHERE state = 'dead' AND (failed_at, run) < (%s, %s) ORDER BY failed_at DESC, run DESC LIMIT %s
"""
RUN_S = 10  # as a claim thinks while none has ended


class PostgresQueueView:
    """The QueueView port."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool
        self._stats: Stats | None = None
        self._looked_at = 0.0

    async def place(self, run: RunId) -> Place | None:
        rows = await self._fetch(PLACE, {"run": run, "run_s": RUN_S})
        if not rows:
            return None
        ((position, known, run_s, held, backends, paused),) = rows
        guess = (position - 1 + held) * run_s / backends if known and backends and not paused else None
        return Place(position, None if guess is None else round(guess, 1), paused)

    async def stats(self) -> Stats:
        """Up to a second old."""
        if self._stats is None or time.monotonic() - self._looked_at > STATS_S:
            pools = [PoolStats(*row) for row in await self._fetch(STATS, ())]
            everything = next((pool for pool in pools if pool.name == ""), None)
            named = [pool for pool in pools if pool.name != ""]
            self._stats = Stats(everything is not None and everything.paused, named)
            self._looked_at = time.monotonic()
        return self._stats

    async def dead(self, limit: int, after: tuple[datetime, RunId]) -> Sequence[DeadRun]:
        rows = await self._fetch(DEAD, (*after, limit))
        return [
            DeadRun(RunId(run), AccountId(owner), pool, epoch, at, msgspec.json.decode(failure, type=Failure))
            for run, owner, pool, epoch, at, failure in rows
        ]

    async def _fetch(self, query: str, values: Values) -> list[Any]:
        try:
            async with self._pool.connection() as connection:
                rows: list[Any] = await (await connection.execute(query.encode(), values)).fetchall()
                return rows
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout) as error:
            raise LogUnavailableError("The queue cannot be reached.") from error
