CREATE TABLE prompts (
    run uuid NOT NULL,
    owner uuid NOT NULL,
    prompt text NOT NULL,
    client text,
    number double precision NOT NULL,
    graph text NOT NULL,
    extra text,
    status text NOT NULL,
    priority bigint NOT NULL,
    position bigint NOT NULL,
    submitted_at timestamptz NOT NULL,
    workflow uuid,
    started_at timestamptz,
    ended_at timestamptz,
    outputs bigint NOT NULL,
    failure jsonb,
    course jsonb,
    dismissed boolean NOT NULL
);

-- once loaded

ALTER TABLE prompts ADD CONSTRAINT prompts_pkey PRIMARY KEY (run);
CREATE INDEX prompts_waiting_idx ON prompts (owner, priority DESC, position) WHERE status IN ('queued', 'running');
CREATE INDEX prompts_over_idx ON prompts (owner, position DESC)
    WHERE status IN ('succeeded', 'failed', 'cancelled') AND NOT dismissed;

CREATE POLICY own ON prompts FOR SELECT TO comfyplus_query USING (owner = (SELECT read.viewer()));
