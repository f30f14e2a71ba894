CREATE TABLE statistics_days (
    day text NOT NULL,
    what text NOT NULL,
    added bigint NOT NULL,
    removed bigint NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE statistics_runs (
    day text NOT NULL,
    pool text NOT NULL,
    submitted bigint NOT NULL,
    succeeded bigint NOT NULL,
    failed bigint NOT NULL,
    cancelled bigint NOT NULL,
    run_seconds double precision NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE statistics_active (
    account uuid NOT NULL,
    day text NOT NULL
);

CREATE TABLE statistics_pools (
    run uuid NOT NULL,
    pool text NOT NULL
);

CREATE TABLE statistics_shown (
    id uuid NOT NULL
);

CREATE TABLE statistics_files (
    id uuid NOT NULL,
    size_bytes bigint NOT NULL
);

-- once loaded

ALTER TABLE statistics_days ADD CONSTRAINT statistics_days_pkey PRIMARY KEY (day, what);
ALTER TABLE statistics_runs ADD CONSTRAINT statistics_runs_pkey PRIMARY KEY (day, pool);
ALTER TABLE statistics_active ADD CONSTRAINT statistics_active_pkey PRIMARY KEY (account, day);
CREATE INDEX statistics_active_day_idx ON statistics_active (day, account);
ALTER TABLE statistics_pools ADD CONSTRAINT statistics_pools_pkey PRIMARY KEY (run);
ALTER TABLE statistics_shown ADD CONSTRAINT statistics_shown_pkey PRIMARY KEY (id);
ALTER TABLE statistics_files ADD CONSTRAINT statistics_files_pkey PRIMARY KEY (id);

CREATE POLICY administrators ON statistics_days FOR SELECT TO comfyplus_query USING ((SELECT read.administrator()));
CREATE POLICY administrators ON statistics_runs FOR SELECT TO comfyplus_query USING ((SELECT read.administrator()));
CREATE POLICY administrators ON statistics_active FOR SELECT TO comfyplus_query USING ((SELECT read.administrator()));
