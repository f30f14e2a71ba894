CREATE TABLE runs (
    id uuid NOT NULL,
    owner uuid NOT NULL,
    workflow uuid,
    workflow_version bigint,
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
    execution_s double precision,
    source jsonb,
    batch uuid,
    place bigint,
    rerun_of uuid,
    nodes jsonb,
    pool text NOT NULL,
    run_seconds double precision NOT NULL,
    starred bigint NOT NULL
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
    at timestamptz NOT NULL,
    id uuid NOT NULL,
    workflow uuid,
    starred boolean NOT NULL
);

CREATE TABLE run_traits (
    id uuid NOT NULL,
    owner uuid NOT NULL,
    submitted_at timestamptz NOT NULL,
    template text,
    models jsonb NOT NULL,
    words text NOT NULL,
    rendition jsonb
);

CREATE TABLE handling (
    account uuid NOT NULL,
    rendition jsonb,
    retention jsonb
);

CREATE TABLE batches (
    id uuid NOT NULL,
    owner uuid NOT NULL,
    runs bigint NOT NULL,
    varied jsonb NOT NULL,
    plan text NOT NULL,
    submitted_at timestamptz NOT NULL,
    position bigint NOT NULL,
    cancelled_at timestamptz
);

CREATE TABLE backends (
    name text NOT NULL,
    live boolean NOT NULL,
    executor text NOT NULL,
    comfyui_version text NOT NULL,
    device text NOT NULL,
    reason text NOT NULL,
    since timestamptz NOT NULL,
    owner uuid,
    pool text NOT NULL,
    registered boolean NOT NULL,
    draining boolean NOT NULL,
    slots bigint NOT NULL,
    inventory text,
    vram_bytes bigint NOT NULL,
    node_classes bigint NOT NULL,
    checkpoints bigint NOT NULL,
    loras bigint NOT NULL,
    other_models bigint NOT NULL
);

-- once loaded

ALTER TABLE runs ADD CONSTRAINT runs_pkey PRIMARY KEY (id);
CREATE INDEX runs_owner_idx ON runs (owner, submitted_at DESC, id DESC);
CREATE INDEX runs_workflow_idx ON runs (owner, workflow, submitted_at DESC, id DESC);
CREATE INDEX runs_open_idx ON runs (owner, submitted_at DESC, id DESC) WHERE ended_at IS NULL;
CREATE INDEX runs_starred_idx ON runs (owner, submitted_at DESC, id DESC) WHERE starred > 0;
CREATE INDEX runs_batch_idx ON runs (batch, owner, place) WHERE batch IS NOT NULL;
ALTER TABLE outputs ADD CONSTRAINT outputs_pkey PRIMARY KEY (run, node, index);
CREATE INDEX outputs_id_idx ON outputs (id);
CREATE INDEX outputs_owner_idx ON outputs (owner, at DESC, id DESC);
CREATE INDEX outputs_workflow_idx ON outputs (owner, workflow, at DESC, id DESC) WHERE workflow IS NOT NULL;
CREATE INDEX outputs_starred_idx ON outputs (owner, at DESC, id DESC) WHERE starred;
-- by what stored a file, and by what shows it small: whether anything still needs it is asked before it goes
CREATE INDEX outputs_digest_idx ON outputs (digest);
CREATE INDEX outputs_small_idx ON outputs USING gin (jsonb_path_query_array(thumbnails, '$[*].digest') jsonb_path_ops);
ALTER TABLE run_traits ADD CONSTRAINT run_traits_pkey PRIMARY KEY (id);
CREATE INDEX run_traits_owner_idx ON run_traits (owner, submitted_at DESC, id DESC);
CREATE INDEX run_traits_template_idx ON run_traits (owner, template, submitted_at DESC, id DESC)
    WHERE template IS NOT NULL;
ALTER TABLE handling ADD CONSTRAINT handling_pkey PRIMARY KEY (account);
ALTER TABLE batches ADD CONSTRAINT batches_pkey PRIMARY KEY (id);
CREATE INDEX batches_owner_idx ON batches (owner, submitted_at DESC, id DESC);
ALTER TABLE backends ADD CONSTRAINT backends_pkey PRIMARY KEY (name);

CREATE POLICY own ON runs FOR SELECT TO comfyplus_query USING (owner = (SELECT read.viewer()));
CREATE POLICY own ON batches FOR SELECT TO comfyplus_query USING (owner = (SELECT read.viewer()));
CREATE POLICY own ON run_traits FOR SELECT TO comfyplus_query USING (owner = (SELECT read.viewer()));
CREATE POLICY own ON handling FOR SELECT TO comfyplus_query USING (account = (SELECT read.viewer()));
CREATE POLICY own ON outputs FOR SELECT TO comfyplus_query USING (owner = (SELECT read.viewer()));
CREATE POLICY logged_in ON backends FOR SELECT TO comfyplus_query
    USING ((SELECT read.viewer()) IS NOT NULL AND (owner IS NULL OR owner = (SELECT read.viewer())));
