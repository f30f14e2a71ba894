CREATE TABLE presets (
    id uuid NOT NULL,
    owner uuid NOT NULL,
    public boolean NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    template text,
    document text NOT NULL,
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

-- once loaded

ALTER TABLE presets ADD CONSTRAINT presets_pkey PRIMARY KEY (id);
CREATE INDEX presets_owner_idx ON presets (owner, updated_at DESC, id DESC);
CREATE INDEX presets_public_idx ON presets (updated_at DESC, id DESC) WHERE public;

CREATE POLICY own_and_public ON presets FOR SELECT TO comfyplus_query
    USING (owner = (SELECT read.viewer()) OR public);
