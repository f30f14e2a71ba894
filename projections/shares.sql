CREATE TABLE shares (
    id uuid NOT NULL,
    owner uuid NOT NULL,
    kind text NOT NULL,
    subject uuid NOT NULL,
    node text,
    index bigint,
    made_at timestamptz NOT NULL,
    expires_at timestamptz,
    position bigint NOT NULL
);

-- once loaded

ALTER TABLE shares ADD CONSTRAINT shares_pkey PRIMARY KEY (id);
CREATE INDEX shares_owner_idx ON shares (owner, position DESC);

CREATE POLICY own ON shares FOR SELECT TO comfyplus_query USING (owner = (SELECT read.viewer()));
