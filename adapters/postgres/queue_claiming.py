"""Who is next: the one place where that is decided."""

from datetime import timedelta
from typing import Any

from domain import attempt
from domain.catalogue import CATALOGUE
from domain.event import topic
from domain.run import Run, Status

AHEAD = 32  # places that a run may be served before its turn, because the backend has its models loaded
NEAR = 8  # accounts that are looked at for a warm run
RUN_S = 10  # what a run is thought to take while none has ended
# A prompt waits so long for the backend that has its account's last one in its cache.
PATIENCE = timedelta(seconds=1)
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
#
# A prompt stays with the backend that took its account's last one, while what its nodes have made is still in that
# one's cache, which is that of one run. It is left to that one for a second, if that one is there, can do it, and is
# not likely to be busy for longer than that; then anybody may have it, and after a lost attempt at once. Who is passed
# over so still counts for how far service has come, and where there is nothing else to claim, it is told when it will
# be free (`kept_s`).
#
# The accounts are walked by work.near (infra/migrations), one after the other until there are enough. As a part of this
# statement it was left to estimates whether it looks at a few accounts or at all of them, and each further condition
# could turn that: 45 ms in place of 1.5 with a thousand accounts.
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
    SELECT pool.name AS pool, pool.class, pool.run_s, greatest(pool.clock_us, account.least_us) AS clock_us,
        account.owner, account.weight, account.served_us, account.came, account.run, account.free_at,
        account.served_us < pool.clock_us AS behind,
        account.warm AND account.since < account.first_since + interval '5 minutes'
            AND account.served_us <= pool.run_s * 1e6 + greatest(pool.clock_us, account.least_us) AS warm
    FROM pool CROSS JOIN LATERAL work.near(
        pool.name, %(backend)s, %(only)s, %(running)s, %(must_tell)s, %(ahead)s, %(near)s, %(patience)s, %(run_s)s
    ) AS account
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
    SET served_us = s.served_us + next.skipped_us + next.run_us, clock_us = greatest(s.clock_us, next.clock_us),
        prompted_on = CASE WHEN next.prompted THEN %(backend)s ELSE s.prompted_on END
    FROM next CROSS JOIN held WHERE s.pool = next.pool AND s.owner = next.owner
), warmed AS (
    UPDATE work.backends AS b
    SET warm = coalesce(nullif(next.warm, ''), b.warm), prompted_for = CASE WHEN next.prompted THEN next.owner END
    FROM next CROSS JOIN held WHERE b.name = %(backend)s AND (
        next.warm NOT IN ('', b.warm)
        OR b.prompted_for IS DISTINCT FROM CASE WHEN next.prompted THEN next.owner END)
)
SELECT first.pool, first.owner, next.run, next.version, next.epoch, next.owner, next.graph, next.timeout_s,
    next.prompted, next.extra, held.position, kept.s
FROM (SELECT extract(epoch FROM min(near.free_at) - now())::float8 AS s FROM near) AS kept
LEFT JOIN (SELECT pool, owner FROM near WHERE run IS NOT NULL ORDER BY served_us, came LIMIT 1) AS first ON true
LEFT JOIN next ON true LEFT JOIN held ON true
WHERE first.owner IS NOT NULL OR kept.s IS NOT NULL
"""
# Returns when whoever was serving the account has done so.
WAIT = "SELECT FROM work.shares WHERE pool = %s AND owner = %s FOR SHARE"


def event(epoch: int, backend: str, executor: str) -> dict[str, Any]:
    """The topic of a claim and how its event begins: CLAIM puts the charge at its end."""
    waiting = Run(status=Status.QUEUED, epoch=epoch - 1)
    (claimed,) = attempt.claim(waiting, backend=backend, executor=executor)
    begun = CATALOGUE.encode(claimed).removesuffix(b',"charge":null}')
    return {"topic": topic(type(claimed)), "event": begun}
