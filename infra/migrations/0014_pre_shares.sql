-- The queue in a fair order: pools by class, accounts by the service they have had, an account's runs by priority and
-- age. All of it is folded from the log by dispatch; it begins anew, as the rows of before do not tell enough.

DELETE FROM work.queue;
UPDATE work.checkpoints SET position = 0 WHERE name = 'dispatch';

-- `warm`: names the models that the run needs. `charged_us`, `weight`: of the attempt that holds it, see work.shares.
-- A run that failed for want of a machine stays as `dead`, so that an administrator may put it back.
ALTER TABLE work.queue
    ADD COLUMN pool text NOT NULL DEFAULT 'shared',
    ADD COLUMN warm text NOT NULL DEFAULT '',
    ADD COLUMN charged_us bigint NOT NULL DEFAULT 0,
    ADD COLUMN weight double precision NOT NULL DEFAULT 1,
    ADD COLUMN started_at timestamptz,
    ADD COLUMN failed_at timestamptz,
    ADD COLUMN failure jsonb,
    DROP CONSTRAINT queue_state_known,
    ADD CONSTRAINT queue_state_known CHECK (state IN ('waiting', 'held', 'dead'));
DROP INDEX work.queue_rank_idx;
CREATE INDEX queue_next_idx ON work.queue (pool, owner, rank, run) WHERE state = 'waiting';
CREATE INDEX queue_owner_idx ON work.queue (owner) WHERE state = 'held';
CREATE INDEX queue_failed_at_idx ON work.queue (failed_at, run) WHERE state = 'dead';

-- Which models it has used last.
ALTER TABLE work.backends ADD COLUMN warm text NOT NULL DEFAULT '';

-- What an account has had of a pool. `served_us` is its virtual time: microseconds of service over the account's
-- weight, charged in advance by a claim and put right when the run ends. `clock_us`: the least of those waiting when it
-- was served last; the greatest of a pool is how far service has come there. `came`: the position of its first run.
-- `recent_*`: run seconds and runs, older ones fading.
-- The column is called owner, as that of the queue: a number for an id that the log keeps as well.
CREATE TABLE work.shares (
    pool text NOT NULL,
    owner uuid NOT NULL,
    waiting int NOT NULL DEFAULT 0,
    served_us bigint NOT NULL DEFAULT 0,
    clock_us bigint NOT NULL DEFAULT 0,
    came bigint NOT NULL DEFAULT 0,
    recent_s double precision NOT NULL DEFAULT 0,
    recent_runs double precision NOT NULL DEFAULT 0,
    CONSTRAINT shares_pkey PRIMARY KEY (pool, owner)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX shares_next_idx ON work.shares (pool, served_us, came, owner) WHERE waiting > 0;
CREATE INDEX shares_clock_us_idx ON work.shares (pool, clock_us DESC);

-- What administrators have said of a pool, and what happened in it. The pool without a name stands for all of them.
CREATE TABLE work.pools (
    name text NOT NULL,
    class int NOT NULL DEFAULT 0,
    paused boolean NOT NULL DEFAULT false,
    pause_reason text NOT NULL DEFAULT '',
    max_running int,
    max_queued int,
    recent_s double precision NOT NULL DEFAULT 0,
    recent_runs double precision NOT NULL DEFAULT 0,
    succeeded bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    CONSTRAINT pools_pkey PRIMARY KEY (name)
);

-- Where an administrator has given an account other limits than all; NULL: as all.
CREATE TABLE work.limits (
    owner uuid NOT NULL,
    weight double precision NOT NULL,
    running int,
    queued int,
    runs_per_day int,
    run_s_per_day int,
    CONSTRAINT limits_pkey PRIMARY KEY (owner)
);

-- What an account has had on the last day (UTC) that it had anything.
CREATE TABLE work.usage (
    owner uuid NOT NULL,
    day date NOT NULL,
    runs int NOT NULL DEFAULT 0,
    run_us bigint NOT NULL DEFAULT 0,
    CONSTRAINT usage_pkey PRIMARY KEY (owner)
) WITH (fillfactor = 70);

GRANT SELECT, INSERT, UPDATE, DELETE ON work.shares, work.pools, work.limits, work.usage TO comfyplus_dispatch;
GRANT SELECT ON work.shares, work.pools, work.limits, work.usage, work.backends TO comfyplus_app;

-- shares.waiting is the number of waiting rows, whoever changes them: a dispatch of before does not know of it.
CREATE FUNCTION work.count_waiting() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO work.shares AS s (pool, owner, waiting)
        SELECT n.pool, n.owner, count(*) FROM new_rows AS n WHERE n.state = 'waiting'
        GROUP BY n.pool, n.owner ORDER BY n.pool, n.owner
        ON CONFLICT (pool, owner) DO UPDATE SET waiting = s.waiting + EXCLUDED.waiting;
    ELSIF TG_OP = 'DELETE' THEN
        UPDATE work.shares AS s SET waiting = s.waiting - gone.runs
        FROM (
            SELECT o.pool, o.owner, count(*) AS runs FROM old_rows AS o WHERE o.state = 'waiting'
            GROUP BY o.pool, o.owner
        ) AS gone
        WHERE s.pool = gone.pool AND s.owner = gone.owner;
    ELSE
        UPDATE work.shares AS s SET waiting = s.waiting + moved.runs
        FROM (
            SELECT o.pool, o.owner,
                sum((n.state = 'waiting')::int - (o.state = 'waiting')::int) AS runs
            FROM old_rows AS o JOIN new_rows AS n ON n.run = o.run
            WHERE n.state <> o.state
            GROUP BY o.pool, o.owner
        ) AS moved
        WHERE s.pool = moved.pool AND s.owner = moved.owner AND moved.runs <> 0;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER queue_came AFTER INSERT ON work.queue REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION work.count_waiting();
CREATE TRIGGER queue_went AFTER DELETE ON work.queue REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION work.count_waiting();
CREATE TRIGGER queue_moved AFTER UPDATE ON work.queue REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION work.count_waiting();
