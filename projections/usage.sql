CREATE TABLE usage_days (
    owner uuid NOT NULL,
    day text NOT NULL,
    submitted bigint NOT NULL,
    succeeded bigint NOT NULL,
    failed bigint NOT NULL,
    cancelled bigint NOT NULL,
    run_seconds double precision NOT NULL,
    stored_bytes bigint NOT NULL,
    removed_bytes bigint NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE usage_machines (
    owner uuid NOT NULL,
    day text NOT NULL,
    backend text NOT NULL,
    run_seconds double precision NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE usage_running (
    id uuid NOT NULL,
    started_at timestamptz NOT NULL,
    backend text NOT NULL
);

CREATE TABLE usage_stored (
    id uuid NOT NULL,
    size_bytes bigint NOT NULL
);

-- once loaded

ALTER TABLE usage_days ADD CONSTRAINT usage_days_pkey PRIMARY KEY (owner, day);
CREATE INDEX usage_days_day_idx ON usage_days (day);
ALTER TABLE usage_machines ADD CONSTRAINT usage_machines_pkey PRIMARY KEY (owner, day, backend);
CREATE INDEX usage_machines_day_idx ON usage_machines (day);
ALTER TABLE usage_stored ADD CONSTRAINT usage_stored_pkey PRIMARY KEY (id);
ALTER TABLE usage_running ADD CONSTRAINT usage_running_pkey PRIMARY KEY (id);

CREATE POLICY own ON usage_days FOR SELECT TO comfyplus_query USING (owner = (SELECT read.viewer()));
CREATE POLICY administrators ON usage_days FOR SELECT TO comfyplus_query USING ((SELECT read.administrator()));
CREATE POLICY own ON usage_machines FOR SELECT TO comfyplus_query USING (owner = (SELECT read.viewer()));
CREATE POLICY administrators ON usage_machines FOR SELECT TO comfyplus_query USING ((SELECT read.administrator()));
