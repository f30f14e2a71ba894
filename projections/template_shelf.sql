CREATE TABLE templates (
    id uuid NOT NULL,
    owner uuid NOT NULL,
    public boolean NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    category text NOT NULL,
    model_family text NOT NULL,
    max_batch_size bigint NOT NULL,
    requires_image boolean NOT NULL,
    requires_mask boolean NOT NULL,
    number bigint NOT NULL,
    document text NOT NULL,
    workflow uuid,
    workflow_version bigint NOT NULL,
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

-- once loaded

ALTER TABLE templates ADD CONSTRAINT templates_pkey PRIMARY KEY (id);
CREATE INDEX templates_owner_idx ON templates (owner, updated_at DESC, id DESC);
CREATE INDEX templates_public_idx ON templates (updated_at DESC, id DESC) WHERE public;

CREATE POLICY own_and_public ON templates FOR SELECT TO comfyplus_query
    USING (owner = (SELECT read.viewer()) OR public);
