"""Who is next: the one place where that is decided."""

from typing import Any

from domain import attempt
from domain.catalogue import CATALOGUE
from domain.event import topic
from domain.run import Run, Status

AHEAD = 32  # places that a run may be served before its turn, because the backend has its models loaded
NEAR = 8  # accounts that are looked at for a warm run
RUN_S = 10  # what a run is thought to take while none has ended
LEAST_US = 100_000  # a run is charged a tenth of a second at least: one that took nothing had its turn, too

# Of the pools that the backend serves and that are not full or paused, those of the highest class first. In a pool the
# accounts in the order of what they have had of it, without those that have as many runs under way as they may. Of each
# its next run: the first by rank; but one whose models the backend has loaded is taken up to 32 places before its turn.
# Of the accounts the first; but one whose next run is warm may be served before its turn, if it is not more than one
# run ahead of the first. Nobody is passed over so who has just come back from idle, whom service has left behind
# (`behind`). And warmth never outweighs more than five minutes of waiting, or the half of a step of priority: else
# those that keep coming could let one wait for ever.
#
# The account and the run are locked; an account that has been served since the statement began is left out (`served_us`
# would be another), as is whoever another claim has locked: then `near` tells that somebody was there.
#
# The event is made for an epoch: when the next run's is another one, nothing happens but that this is told. What it
# charges the account is known here only, and put at its end. What is appended depends on the row, so that the order
# lock of the log is taken after the row is found, and nobody else can append between that and the commit.
# What the backend cannot do is passed over: work.able tells, where it is known what the backend has.
CLAIM = """
WITH pool AS MATERIALIZED (
    SELECT asked.name, coalesce(p.class, 0) AS class,
        coalesce(p.recent_s / nullif(p.recent_runs, 0), %(run_s)s) AS run_s,
        coalesce((SELECT s.clock_us FROM work.shares AS s WHERE s.pool = asked.name
            ORDER BY s.clock_us DESC LIMIT 1), 0) AS clock_us
    FROM unnest(%(pools)s::text[]) AS asked (name) LEFT JOIN work.pools AS p ON p.name = asked.name
    WHERE NOT coalesce(p.paused, false)
        AND NOT EXISTS (SELECT FROM work.pools AS every WHERE every.name = '' AND every.paused)
        AND (p.max_running IS NULL OR p.max_running > (
            SELECT count(*) FROM work.queue AS held WHERE held.state = 'held' AND held.pool = asked.name))
), near AS MATERIALIZED (
    SELECT pool.name AS pool, pool.class, pool.run_s,
        greatest(pool.clock_us, first_value(account.served_us) OVER turns) AS clock_us,
        account.owner, account.weight, account.served_us, account.came, account.run,
        account.served_us < pool.clock_us AS behind,
        account.warm AND account.since < first_value(account.since) OVER turns + interval '5 minutes'
            AND account.served_us <= pool.run_s * 1e6
                + greatest(pool.clock_us, first_value(account.served_us) OVER turns) AS warm
    FROM pool CROSS JOIN LATERAL (
        SELECT s.owner, s.served_us, s.came, coalesce(l.weight, 1) AS weight, pick.run, pick.warm, pick.since
        FROM work.shares AS s LEFT JOIN work.limits AS l ON l.owner = s.owner
        CROSS JOIN LATERAL (
            SELECT first.run, first.since, first.warm AND first.rank < first.least + 300 AS warm
            FROM (
                SELECT q.run, q.rank, q.not_before AS since, q.warm IN ('', coalesce(
                    (SELECT b.warm FROM work.backends AS b WHERE b.name = %(backend)s), '')) AS warm,
                    min(q.rank) OVER () AS least
                FROM (
                    SELECT w.run, w.rank, w.warm, w.not_before FROM work.queue AS w
                    WHERE w.state = 'waiting' AND w.pool = s.pool AND w.owner = s.owner AND w.not_before <= now()
                        AND (w.needs IS NULL
                            OR NOT EXISTS (SELECT FROM work.backends AS b WHERE b.name = %(backend)s AND b.stock <> '')
                            AND NOT EXISTS (
                                SELECT FROM work.needs AS n WHERE n.id = w.needs AND n.wants @> %(must_tell)s::text[])
                            OR EXISTS (SELECT FROM work.able AS a WHERE a.backend = %(backend)s AND a.needs = w.needs))
                    ORDER BY w.rank, w.run LIMIT %(ahead)s
                ) AS q
            ) AS first
            ORDER BY first.warm AND first.rank < first.least + 300 DESC, first.rank, first.run LIMIT 1
        ) AS pick
        WHERE s.pool = pool.name AND s.waiting > 0 AND (%(only)s::uuid IS NULL OR s.owner = %(only)s)
            AND NOT EXISTS (SELECT FROM work.suspended AS away WHERE away.owner = s.owner)
            AND (coalesce(l.running, %(running)s) IS NULL OR coalesce(l.running, %(running)s) > (
                SELECT count(*) FROM work.queue AS held WHERE held.state = 'held' AND held.owner = s.owner))
        ORDER BY s.served_us, s.came, s.owner LIMIT %(near)s
    ) AS account
    WINDOW turns AS (PARTITION BY pool.name ORDER BY account.served_us, account.came, account.owner)
), next AS MATERIALIZED (
    SELECT q.run, q.version, q.owner, q.pool, q.epoch, q.graph, q.timeout_s, q.prompted, q.extra,
        q.warm, near.weight,
        near.clock_us,
        greatest(near.clock_us - s.served_us, 0) AS skipped_us,
        greatest(round(1e6 * coalesce(s.recent_s / nullif(s.recent_runs, 0), near.run_s) / near.weight)::bigint,
            %(least_us)s) AS run_us
    FROM near
    JOIN work.shares AS s ON s.pool = near.pool AND s.owner = near.owner AND s.served_us = near.served_us
    JOIN work.queue AS q ON q.run = near.run AND q.state = 'waiting'
    ORDER BY near.class DESC, near.behind DESC, near.warm DESC, near.served_us, near.came, near.owner LIMIT 1
    FOR UPDATE OF s, q SKIP LOCKED
), appended AS MATERIALIZED (
    SELECT next.run, done.base, done.stale FROM next CROSS JOIN LATERAL log.append(
        ARRAY[next.run], ARRAY[next.version + 1], ARRAY[%(topic)s], ARRAY[
            %(event)s || convert_to(concat(',"charge":{"clock_us":', next.clock_us, ',"skipped_us":', next.skipped_us,
                ',"run_us":', next.run_us, ',"weight":', next.weight, '}}'), 'UTF8')
        ], ARRAY[next.owner], ARRAY['dispatch'], ARRAY[next.run], ARRAY[NULL::bigint],
        ARRAY[1], ARRAY[next.run], ARRAY[next.version],
        '{}', '{}', '{}'
    ) AS done
    WHERE next.epoch + 1 = %(epoch)s
), held AS (
    UPDATE work.queue AS q
    SET state = 'held', version = q.version + 1, epoch = %(epoch)s, backend = %(backend)s,
        executor = %(executor)s, lease_until = %(lease_until)s, position = appended.base + 1,
        charged_us = next.run_us, weight = next.weight, started_at = NULL
    FROM appended CROSS JOIN next WHERE q.run = appended.run AND appended.stale IS NULL
    RETURNING q.position
), charged AS (
    UPDATE work.shares AS s
    SET served_us = s.served_us + next.skipped_us + next.run_us, clock_us = greatest(s.clock_us, next.clock_us)
    FROM next CROSS JOIN held WHERE s.pool = next.pool AND s.owner = next.owner
), warmed AS (
    UPDATE work.backends AS b SET warm = next.warm
    FROM next CROSS JOIN held WHERE b.name = %(backend)s AND next.warm NOT IN ('', b.warm)
)
SELECT first.pool, first.owner, next.run, next.version, next.epoch, next.owner, next.graph, next.timeout_s,
    next.prompted, next.extra, held.position
FROM (SELECT pool, owner FROM near ORDER BY served_us, came LIMIT 1) AS first
LEFT JOIN next ON true LEFT JOIN held ON true
"""
# Returns when whoever was serving the account has done so.
WAIT = "SELECT FROM work.shares WHERE pool = %s AND owner = %s FOR SHARE"


def event(epoch: int, backend: str, executor: str) -> dict[str, Any]:
    """The topic of a claim and how its event begins: CLAIM puts the charge at its end."""
    waiting = Run(status=Status.QUEUED, epoch=epoch - 1)
    (claimed,) = attempt.claim(waiting, backend=backend, executor=executor)
    begun = CATALOGUE.encode(claimed).removesuffix(b',"charge":null}')
    return {"topic": topic(type(claimed)), "event": begun}
