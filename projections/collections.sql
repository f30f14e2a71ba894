CREATE TABLE collections (
    id uuid NOT NULL,
    owner uuid NOT NULL,
    public boolean NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    members jsonb NOT NULL,
    begun_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    position bigint NOT NULL
);

-- once loaded

ALTER TABLE collections ADD CONSTRAINT collections_pkey PRIMARY KEY (id);
CREATE INDEX collections_owner_idx ON collections (owner, position DESC);

CREATE POLICY own_and_public ON collections FOR SELECT TO comfyplus_query
    USING (public OR owner = (SELECT read.viewer()));
