CREATE TABLE loras (
    id uuid NOT NULL,
    owner uuid NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    file text NOT NULL,
    digest text NOT NULL,
    size_bytes bigint NOT NULL,
    base_model text NOT NULL,
    trigger_words jsonb NOT NULL,
    rank bigint NOT NULL,
    dtype text NOT NULL,
    tensors bigint NOT NULL,
    public boolean NOT NULL,
    shared_with jsonb NOT NULL,
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

-- once loaded

ALTER TABLE loras ADD CONSTRAINT loras_pkey PRIMARY KEY (id);
CREATE INDEX loras_owner_idx ON loras (owner, updated_at DESC, id DESC);
CREATE INDEX loras_public_idx ON loras (updated_at DESC, id DESC) WHERE public;
CREATE INDEX loras_shared_with_idx ON loras USING gin (shared_with jsonb_path_ops);

CREATE POLICY own_and_shared ON loras FOR SELECT TO comfyplus_query
    USING (
        owner = (SELECT read.viewer()) OR public OR shared_with @> (SELECT to_jsonb(read.viewer()::text))
    );
