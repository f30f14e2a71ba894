CREATE TABLE usage_days (
    owner uuid NOT NULL,
    day text NOT NULL,
    submitted bigint NOT NULL,
    succeeded bigint NOT NULL,
    failed bigint NOT NULL,
    cancelled bigint NOT NULL,
    run_seconds double precision NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE usage_running (
    id uuid NOT NULL,
    started_at timestamptz NOT NULL
);

-- once loaded

ALTER TABLE usage_days ADD CONSTRAINT usage_days_pkey PRIMARY KEY (owner, day);
ALTER TABLE usage_running ADD CONSTRAINT usage_running_pkey PRIMARY KEY (id);

CREATE POLICY own ON usage_days FOR SELECT TO comfyplus_query USING (owner = (SELECT read.viewer()));
