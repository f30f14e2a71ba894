"""The one statement that brings a batch of events into the queue: see queue_folding.Batch."""

# Nobody waits for the disk: the rows and the checkpoint are folded from the log, and would be once more. A claim waits
# for what it appends, and so for what was folded before it.
# `before` is joined where rows are changed, so that it is there first: a row that this statement has changed could not
# be locked any more. It holds what a claim at the same moment has made of them.
APPLY = """
WITH moved AS (
    UPDATE work.checkpoints SET position = %(upto)s WHERE name = 'dispatch' AND position = %(position)s
        AND set_config('synchronous_commit', 'off', true) = 'off'
    RETURNING position
), change AS MATERIALIZED (
    SELECT each.* FROM moved CROSS JOIN jsonb_to_recordset(%(changes)s::jsonb) AS each (
        run uuid, version bigint, owner uuid, pool text, warm text, needs uuid, rank float8, graph text, timeout_s int,
        prompted bool, extra text, state text,
        not_before timestamptz, epoch int, backend text, executor text, charged_us bigint, weight float8,
        started_at timestamptz, failed_at timestamptz, failure jsonb, position bigint, over bool, cancelled bool,
        submitted_on date, came bigint, succeeded int, failed int, gone int
    )
), before AS MATERIALIZED (
    SELECT q.run, q.version, q.owner, q.pool, q.charged_us, q.weight, q.started_at
    FROM work.queue AS q JOIN change AS c ON c.run = q.run FOR UPDATE OF q
), whose AS MATERIALIZED (
    SELECT c.run, coalesce(b.owner, c.owner) AS owner, coalesce(b.pool, c.pool) AS pool, b.version,
        b.charged_us, b.weight, b.started_at
    FROM change AS c LEFT JOIN before AS b ON b.run = c.run WHERE b.run IS NOT NULL OR c.owner IS NOT NULL
), inserted AS (
    INSERT INTO work.queue (
        run, version, owner, pool, warm, needs, state, rank, not_before, graph, timeout_s, prompted,
        extra, epoch, backend, executor,
        charged_us, weight, started_at, failed_at, failure, lease_until, position
    )
    SELECT run, version, owner, pool, warm, needs, state, rank, not_before, graph, timeout_s, prompted,
        extra, coalesce(epoch, 0), backend, executor, coalesce(charged_us, 0), coalesce(weight, 1), started_at,
        failed_at, failure,
        CASE WHEN state = 'held' THEN now() + make_interval(secs => %(lease_s)s) END, position
    FROM change WHERE owner IS NOT NULL AND NOT over
    ON CONFLICT (run) DO NOTHING
), updated AS (
    UPDATE work.queue AS q SET
        version = c.version,
        state = coalesce(c.state, q.state),
        not_before = coalesce(c.not_before, q.not_before),
        epoch = coalesce(c.epoch, q.epoch),
        backend = CASE WHEN c.state IS NULL THEN q.backend ELSE c.backend END,
        executor = CASE WHEN c.state IS NULL THEN q.executor ELSE c.executor END,
        charged_us = CASE WHEN c.state IS NULL THEN q.charged_us ELSE coalesce(c.charged_us, 0) END,
        weight = CASE WHEN c.state IS NULL THEN q.weight ELSE coalesce(c.weight, 1) END,
        started_at = CASE WHEN c.state IS NULL THEN coalesce(c.started_at, q.started_at) ELSE c.started_at END,
        failed_at = c.failed_at,
        failure = c.failure,
        lease_until = CASE coalesce(c.state, q.state)
            WHEN 'held' THEN coalesce(q.lease_until, now() + make_interval(secs => %(lease_s)s)) END,
        position = coalesce(c.position, q.position)
    FROM change AS c JOIN before AS b ON b.run = c.run
    WHERE c.owner IS NULL AND NOT c.over AND q.run = b.run AND q.version < c.version
), deleted AS (
    DELETE FROM work.queue AS q USING change AS c JOIN before AS b ON b.run = c.run
    WHERE c.over AND q.run = b.run
    RETURNING q.run, q.epoch, q.executor, c.cancelled
), settled AS MATERIALIZED (
    SELECT w.owner, w.pool, e.position, e.at, e.execution_s, took.s,
        round(took.s * 1e6 / coalesce(e.weight, w.weight))::bigint - coalesce(e.charged_us, w.charged_us) AS us
    FROM moved CROSS JOIN jsonb_to_recordset(%(ended)s::jsonb) AS e (
        run uuid, position bigint, at timestamptz, execution_s float8, started_at timestamptz, charged_us bigint,
        weight float8
    )
    JOIN whose AS w ON w.run = e.run
    CROSS JOIN LATERAL (
        SELECT greatest(0, coalesce(e.execution_s, extract(epoch FROM e.at - coalesce(
            e.started_at, CASE WHEN e.charged_us IS NULL THEN w.started_at END
        ))::float8, 0)) AS s
    ) AS took
), spent AS (
    SELECT pool, owner, sum(us) AS us, max(clock_us) AS clock_us, min(came) AS came
    FROM (
        SELECT pool, owner, us, 0 AS clock_us, NULL::bigint AS came FROM settled
        UNION ALL
        SELECT w.pool, w.owner, CASE WHEN w.version >= k.version THEN 0 ELSE k.us END, k.clock_us, NULL
        FROM jsonb_to_recordset(%(claimed)s::jsonb) AS k (run uuid, version bigint, us bigint, clock_us bigint)
        JOIN whose AS w ON w.run = k.run
        UNION ALL
        SELECT pool, owner, 0, 0, came FROM change WHERE came IS NOT NULL
    ) AS each GROUP BY pool, owner
), admitted AS (
    DELETE FROM work.admissions AS a USING change AS c WHERE c.came IS NOT NULL AND a.run = c.run
), lately AS (
    SELECT pool, owner, sum(s * power(0.8::float8, after)) AS s, sum(power(0.8::float8, after)) AS runs,
        power(0.8::float8, count(*)) AS keep
    FROM (
        SELECT pool, owner, s, row_number() OVER (PARTITION BY pool, owner ORDER BY position DESC) - 1 AS after
        FROM settled WHERE execution_s IS NOT NULL
    ) AS each GROUP BY pool, owner
), shared AS (
    INSERT INTO work.shares AS s (pool, owner, served_us, clock_us, came, recent_s, recent_runs)
    SELECT spent.pool, spent.owner, spent.us, spent.clock_us, coalesce(spent.came, 0), coalesce(lately.s, 0),
        coalesce(lately.runs, 0)
    FROM spent LEFT JOIN lately ON lately.pool = spent.pool AND lately.owner = spent.owner
    ORDER BY spent.pool, spent.owner
    ON CONFLICT (pool, owner) DO UPDATE SET
        served_us = s.served_us + EXCLUDED.served_us,
        clock_us = greatest(s.clock_us, EXCLUDED.clock_us),
        recent_s = s.recent_s * (SELECT coalesce(max(keep), 1) FROM lately
            WHERE lately.pool = EXCLUDED.pool AND lately.owner = EXCLUDED.owner) + EXCLUDED.recent_s,
        recent_runs = s.recent_runs * (SELECT coalesce(max(keep), 1) FROM lately
            WHERE lately.pool = EXCLUDED.pool AND lately.owner = EXCLUDED.owner) + EXCLUDED.recent_runs
), used AS (
    SELECT DISTINCT ON (owner) owner, day, sum(runs) AS runs, sum(us) AS us
    FROM (
        SELECT owner, submitted_on AS day, 1 AS runs, 0 AS us FROM change WHERE submitted_on IS NOT NULL
        UNION ALL
        SELECT owner, (at AT TIME ZONE 'UTC')::date, 0, round(s * 1e6)::bigint FROM settled
    ) AS each GROUP BY owner, day ORDER BY owner, day DESC
), counted AS (
    INSERT INTO work.usage AS u (owner, day, runs, run_us) SELECT owner, day, runs, us FROM used ORDER BY owner
    ON CONFLICT (owner) DO UPDATE SET
        day = EXCLUDED.day,
        runs = EXCLUDED.runs + CASE WHEN u.day = EXCLUDED.day THEN u.runs ELSE 0 END,
        run_us = EXCLUDED.run_us + CASE WHEN u.day = EXCLUDED.day THEN u.run_us ELSE 0 END
    WHERE u.day <= EXCLUDED.day
), tally AS (
    SELECT name, sum(succeeded) AS succeeded, sum(failed) AS failed, sum(gone) AS cancelled, sum(s) AS s,
        sum(runs) AS runs, max(keep) AS keep
    FROM (
        SELECT w.pool AS name, c.succeeded, c.failed, c.gone, 0 AS s, 0 AS runs, NULL AS keep
        FROM change AS c JOIN whose AS w ON w.run = c.run WHERE c.succeeded <> 0 OR c.failed <> 0 OR c.gone <> 0
        UNION ALL
        SELECT pool, 0, 0, 0, sum(s * power(0.98::float8, after)), sum(power(0.98::float8, after)),
            power(0.98::float8, count(*))
        FROM (
            SELECT pool, s, row_number() OVER (PARTITION BY pool ORDER BY position DESC) - 1 AS after
            FROM settled WHERE execution_s IS NOT NULL
        ) AS each GROUP BY pool
    ) AS each GROUP BY name
), told AS (
    SELECT each.* FROM moved CROSS JOIN jsonb_to_recordset(%(pools)s::jsonb) AS each (
        name text, rank int, paused bool, reason text, given bool, running int, queued int
    )
), pooled AS (
    INSERT INTO work.pools AS p (
        name, class, paused, pause_reason, max_running, max_queued, succeeded, failed, cancelled, recent_s, recent_runs
    )
    SELECT name, coalesce(told.rank, 0), coalesce(told.paused, false), coalesce(told.reason, ''), told.running,
        told.queued, coalesce(t.succeeded, 0), coalesce(t.failed, 0), coalesce(t.cancelled, 0), coalesce(t.s, 0),
        coalesce(t.runs, 0)
    FROM told FULL JOIN tally AS t USING (name)
    ORDER BY name
    ON CONFLICT (name) DO UPDATE SET
        class = (SELECT coalesce(max(told.rank), p.class) FROM told WHERE told.name = p.name),
        paused = (SELECT coalesce(bool_or(told.paused), p.paused) FROM told WHERE told.name = p.name),
        pause_reason = (SELECT coalesce(max(told.reason), p.pause_reason) FROM told WHERE told.name = p.name),
        max_running = CASE WHEN EXISTS (SELECT FROM told WHERE told.name = p.name AND told.given)
            THEN EXCLUDED.max_running ELSE p.max_running END,
        max_queued = CASE WHEN EXISTS (SELECT FROM told WHERE told.name = p.name AND told.given)
            THEN EXCLUDED.max_queued ELSE p.max_queued END,
        succeeded = p.succeeded + EXCLUDED.succeeded,
        failed = p.failed + EXCLUDED.failed,
        cancelled = p.cancelled + EXCLUDED.cancelled,
        recent_s = p.recent_s * (SELECT coalesce(max(keep), 1) FROM tally WHERE tally.name = p.name)
            + EXCLUDED.recent_s,
        recent_runs = p.recent_runs * (SELECT coalesce(max(keep), 1) FROM tally WHERE tally.name = p.name)
            + EXCLUDED.recent_runs
), limited AS (
    INSERT INTO work.limits (owner, weight, running, queued, runs_per_day, run_s_per_day)
    SELECT owner, weight, running, queued, runs_per_day, run_s_per_day
    FROM moved CROSS JOIN jsonb_to_recordset(%(limits)s::jsonb) AS each (
        owner uuid, weight float8, running int, queued int, runs_per_day int, run_s_per_day int
    )
    ON CONFLICT (owner) DO UPDATE SET
        weight = EXCLUDED.weight, running = EXCLUDED.running, queued = EXCLUDED.queued,
        runs_per_day = EXCLUDED.runs_per_day, run_s_per_day = EXCLUDED.run_s_per_day
), standing AS MATERIALIZED (
    SELECT each.owner, each.suspended
    FROM moved CROSS JOIN jsonb_to_recordset(%(standings)s::jsonb) AS each (owner uuid, suspended bool)
), suspended AS (
    INSERT INTO work.suspended (owner) SELECT owner FROM standing WHERE suspended ON CONFLICT DO NOTHING
), reinstated AS (
    DELETE FROM work.suspended AS s USING standing AS t WHERE s.owner = t.owner AND NOT t.suspended
)
SELECT NULL, NULL, NULL FROM moved
UNION ALL
SELECT run, epoch, executor FROM deleted WHERE cancelled AND executor IS NOT NULL
"""
