-- A backend's cache holds what the nodes of its last run have made: once another account's run was there, or one that is no
-- prompt, nobody's prompt has a reason to wait for it.

-- Whose prompt it took last; NULL where its last run was none.
ALTER TABLE work.backends ADD COLUMN prompted_for uuid;

DROP FUNCTION work.begins_soon;

-- Whether a backend still has an account's last prompt in its cache, has what is needed, and is likely to begin something
-- new within `patience`. What it holds takes as long as its account's runs usually do; what has taken longer, as much
-- longer again.
CREATE FUNCTION work.takes_soon(
    home text, whose uuid, needed uuid, must_tell text[], patience interval, usual_s double precision
) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM work.backends AS b
        WHERE b.name = home AND b.prompted_for = whose AND b.live AND b.seen_until > now()
            AND (needed IS NULL
                OR b.stock = '' AND NOT EXISTS (
                    SELECT FROM work.needs AS n WHERE n.id = needed AND n.wants @> must_tell)
                OR EXISTS (SELECT FROM work.able AS a WHERE a.backend = home AND a.needs = needed))
    ) AND (
        SELECT coalesce(sum(abs(
            coalesce(s.recent_s / nullif(s.recent_runs, 0), p.recent_s / nullif(p.recent_runs, 0), usual_s)
            - coalesce(extract(epoch FROM now() - held.started_at)::float8, 0))), 0)
        FROM work.queue AS held
        LEFT JOIN work.shares AS s ON s.pool = held.pool AND s.owner = held.owner
        LEFT JOIN work.pools AS p ON p.name = held.pool
        WHERE held.state = 'held' AND held.backend = home
    ) <= extract(epoch FROM patience);
END $$;

-- As before, but for whom a prompt waits for.
CREATE OR REPLACE FUNCTION work.near(
    of_pool text, asking text, whose uuid, usual_running int, must_tell text[], ahead int, most int, patience interval,
    usual_s double precision
) RETURNS TABLE (
    owner uuid, weight double precision, served_us bigint, came bigint, run uuid, since timestamptz, warm boolean,
    free_at timestamptz, least_us bigint, first_since timestamptz
)
LANGUAGE plpgsql STABLE ROWS 8 SET search_path = pg_catalog, pg_temp SET enable_sort = off AS $$
#variable_conflict use_column
DECLARE
    loaded text;
    told boolean;
    account record;
    waiting record;
    home text;
    first_rank double precision;
    places int;
    found_so_far int := 0;
BEGIN
    SELECT b.warm, b.stock <> '' INTO loaded, told FROM work.backends AS b WHERE b.name = asking;
    loaded := coalesce(loaded, '');
    told := coalesce(told, false);
    FOR account IN
        SELECT s.owner, s.served_us, s.came, s.prompted_on, coalesce(l.weight, 1) AS weight,
            EXISTS (SELECT FROM work.suspended AS away WHERE away.owner = s.owner)
            OR coalesce(l.running, usual_running) <= (
                SELECT count(*) FROM work.queue AS held WHERE held.state = 'held' AND held.owner = s.owner) AS stands
        FROM work.shares AS s
        LEFT JOIN LATERAL (
            SELECT given.weight, given.running FROM work.limits AS given WHERE given.owner = s.owner LIMIT 1
        ) AS l ON true
        WHERE s.pool = of_pool AND s.waiting > 0 AND (whose IS NULL OR s.owner = whose)
        ORDER BY s.served_us, s.came, s.owner
    LOOP
        CONTINUE WHEN account.stands;
        owner := account.owner;
        weight := account.weight;
        served_us := account.served_us;
        came := account.came;
        home := nullif(account.prompted_on, asking);
        run := NULL;
        since := NULL;
        free_at := NULL;
        warm := false;
        places := 0;
        FOR waiting IN
            SELECT w.run, w.rank, w.not_before, w.needs, w.warm IN ('', loaded) AS warm,
                w.prompted AND w.epoch = 0 AS fresh
            FROM work.queue AS w
            WHERE w.state = 'waiting' AND w.pool = of_pool AND w.owner = account.owner AND w.not_before <= now()
                AND (w.needs IS NULL
                    OR NOT told AND NOT EXISTS (
                        SELECT FROM work.needs AS n WHERE n.id = w.needs AND n.wants @> must_tell)
                    OR EXISTS (SELECT FROM work.able AS a WHERE a.backend = asking AND a.needs = w.needs))
            ORDER BY w.rank, w.run
        LOOP
            IF home IS NOT NULL AND waiting.fresh AND waiting.not_before > now() - patience
                AND work.takes_soon(home, account.owner, waiting.needs, must_tell, patience, usual_s)
            THEN
                free_at := least(free_at, waiting.not_before + patience);
                CONTINUE;
            END IF;
            IF run IS NULL THEN
                first_rank := waiting.rank;
            END IF;
            EXIT WHEN waiting.rank >= first_rank + 300;
            IF run IS NULL OR waiting.warm THEN
                run := waiting.run;
                since := waiting.not_before;
                warm := waiting.warm;
            END IF;
            places := places + 1;
            EXIT WHEN warm OR places >= ahead;
        END LOOP;
        CONTINUE WHEN run IS NULL AND free_at IS NULL;
        least_us := coalesce(least_us, served_us);
        first_since := coalesce(first_since, since);
        RETURN NEXT;
        IF run IS NOT NULL THEN
            found_so_far := found_so_far + 1;
            EXIT WHEN found_so_far >= most;
        END IF;
    END LOOP;
END $$;

REVOKE ALL ON FUNCTION work.takes_soon FROM PUBLIC;
GRANT EXECUTE ON FUNCTION work.takes_soon TO comfyplus_dispatch;
