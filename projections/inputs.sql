CREATE TABLE inputs (
    id uuid NOT NULL,
    owner uuid NOT NULL,
    digest text NOT NULL,
    name text NOT NULL,
    media_type text NOT NULL,
    size_bytes bigint NOT NULL,
    width bigint NOT NULL,
    height bigint NOT NULL,
    uploaded_at timestamptz NOT NULL
);

CREATE TABLE input_names (
    id uuid NOT NULL,
    owner uuid NOT NULL,
    type text NOT NULL,
    subfolder text NOT NULL,
    filename text NOT NULL,
    digest text NOT NULL,
    named_at timestamptz NOT NULL
);

-- once loaded

ALTER TABLE inputs ADD CONSTRAINT inputs_pkey PRIMARY KEY (id);
CREATE INDEX inputs_owner_idx ON inputs (owner, uploaded_at DESC, id DESC);
CREATE INDEX inputs_digest_idx ON inputs (digest);
ALTER TABLE input_names ADD CONSTRAINT input_names_pkey PRIMARY KEY (id);
CREATE INDEX input_names_owner_idx ON input_names (owner, type, subfolder, named_at DESC);

CREATE POLICY own ON input_names FOR SELECT TO comfyplus_query USING (owner = (SELECT read.viewer()));
CREATE POLICY own ON inputs FOR SELECT TO comfyplus_query USING (owner = (SELECT read.viewer()));
