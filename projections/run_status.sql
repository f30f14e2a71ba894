CREATE TABLE runs (
    id uuid NOT NULL,
    owner uuid NOT NULL,
    workflow uuid NOT NULL,
    workflow_version bigint NOT NULL,
    status text NOT NULL,
    priority bigint NOT NULL,
    position bigint NOT NULL,
    submitted_at timestamptz NOT NULL,
    backend text,
    epoch bigint NOT NULL,
    attempts_lost bigint NOT NULL,
    failure jsonb,
    started_at timestamptz,
    ended_at timestamptz,
    not_before timestamptz,
    execution_s double precision
) WITH (fillfactor = 80);

CREATE TABLE outputs (
    run uuid NOT NULL,
    node text NOT NULL,
    index bigint NOT NULL,
    owner uuid NOT NULL,
    epoch bigint NOT NULL,
    digest text NOT NULL,
    name text NOT NULL,
    media_type text NOT NULL,
    size_bytes bigint NOT NULL,
    width bigint NOT NULL,
    height bigint NOT NULL,
    thumbnails jsonb NOT NULL,
    at timestamptz NOT NULL
);

CREATE TABLE backends (
    name text NOT NULL,
    live boolean NOT NULL,
    executor text NOT NULL,
    comfyui_version text NOT NULL,
    device text NOT NULL,
    reason text NOT NULL,
    since timestamptz NOT NULL
);

-- once loaded

ALTER TABLE runs ADD CONSTRAINT runs_pkey PRIMARY KEY (id);
CREATE INDEX runs_owner_idx ON runs (owner, submitted_at DESC, id DESC);
CREATE INDEX runs_workflow_idx ON runs (owner, workflow, submitted_at DESC, id DESC);
ALTER TABLE outputs ADD CONSTRAINT outputs_pkey PRIMARY KEY (run, node, index);
ALTER TABLE backends ADD CONSTRAINT backends_pkey PRIMARY KEY (name);

CREATE POLICY own ON runs FOR SELECT TO comfyplus_query USING (owner = (SELECT read.viewer()));
CREATE POLICY own ON outputs FOR SELECT TO comfyplus_query USING (owner = (SELECT read.viewer()));
CREATE POLICY logged_in ON backends FOR SELECT TO comfyplus_query
    USING ((SELECT read.viewer()) IS NOT NULL);
