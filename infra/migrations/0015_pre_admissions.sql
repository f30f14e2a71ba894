-- Runs that were let in but are not folded into the queue yet, so that limits hold for those that come at the same moment.
-- A row goes when its run is folded; one whose run never came into the log is not counted after a minute.
CREATE TABLE work.admissions (
    run uuid NOT NULL,
    owner uuid NOT NULL,
    pool text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT admissions_pkey PRIMARY KEY (run)
);
CREATE INDEX admissions_owner_idx ON work.admissions (owner);
GRANT SELECT, INSERT, DELETE ON work.admissions TO comfyplus_app;
GRANT SELECT, DELETE ON work.admissions TO comfyplus_dispatch;

-- What each of some accounts has and may have, one row for each pair of owner and pool. Until the transaction ends nobody
-- else is told of them: what is let in on the strength of it is added to work.admissions before.
CREATE FUNCTION work.standing(asked_owners uuid[], asked_pools text[]) RETURNS TABLE (
    owner uuid, pool text, queued bigint, runs_today bigint, run_us_today bigint, pool_queued bigint, pool_limit int,
    running int, max_queued int, runs_per_day int, run_s_per_day int
) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    number int;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);  -- what a crash loses is counted by the fold soon
    FOR number IN
        SELECT DISTINCT hashtext(p.name) FROM work.pools AS p
        WHERE p.name = ANY (asked_pools) AND p.max_queued IS NOT NULL ORDER BY 1
    LOOP
        PERFORM pg_advisory_xact_lock(7262433, number);
    END LOOP;
    FOR number IN SELECT DISTINCT hashtext(o.id::text) FROM unnest(asked_owners) AS o (id) ORDER BY 1 LOOP
        PERFORM pg_advisory_xact_lock(7262434, number);
    END LOOP;
    DELETE FROM work.admissions AS a
    WHERE a.at < now() - interval '1 minute' AND a.owner = ANY (asked_owners)
        AND NOT EXISTS (SELECT FROM log.events AS e WHERE e.originator_id = a.run);
    RETURN QUERY
    SELECT asked.owner, asked.pool,
        coalesce((SELECT sum(s.waiting) FROM work.shares AS s WHERE s.owner = asked.owner), 0)::bigint + came.runs,
        CASE WHEN u.day = (now() AT TIME ZONE 'UTC')::date THEN u.runs ELSE 0 END + came.runs,
        CASE WHEN u.day = (now() AT TIME ZONE 'UTC')::date THEN u.run_us ELSE 0 END,
        CASE WHEN p.max_queued IS NOT NULL THEN
            coalesce((SELECT sum(s.waiting) FROM work.shares AS s WHERE s.pool = asked.pool), 0)::bigint
            + (SELECT count(*) FROM work.admissions AS a WHERE a.pool = asked.pool) ELSE 0 END,
        p.max_queued, l.running, l.queued, l.runs_per_day, l.run_s_per_day
    FROM (SELECT DISTINCT o.owner, o.pool FROM unnest(asked_owners, asked_pools) AS o (owner, pool)) AS asked
    CROSS JOIN LATERAL (
        SELECT count(*) AS runs FROM work.admissions AS a WHERE a.owner = asked.owner
    ) AS came
    LEFT JOIN work.usage AS u ON u.owner = asked.owner
    LEFT JOIN work.pools AS p ON p.name = asked.pool
    LEFT JOIN work.limits AS l ON l.owner = asked.owner;
END $$;
REVOKE ALL ON FUNCTION work.standing FROM PUBLIC;
GRANT EXECUTE ON FUNCTION work.standing TO comfyplus_app;
CREATE INDEX shares_owner_idx ON work.shares (owner) INCLUDE (waiting);
