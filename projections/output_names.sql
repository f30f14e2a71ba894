CREATE TABLE output_names (
    run uuid NOT NULL,
    node text NOT NULL,
    index bigint NOT NULL,
    owner uuid NOT NULL,
    type text NOT NULL,
    subfolder text NOT NULL,
    filename text NOT NULL,
    digest text NOT NULL,
    media_type text NOT NULL,
    size_bytes bigint NOT NULL,
    width bigint NOT NULL,
    height bigint NOT NULL,
    at timestamptz NOT NULL,
    lost boolean NOT NULL
);

CREATE TABLE output_counters (
    id text NOT NULL,
    number bigint NOT NULL
);

-- once loaded

ALTER TABLE output_names ADD CONSTRAINT output_names_pkey PRIMARY KEY (run, node, index);
CREATE INDEX output_names_owner_idx ON output_names (owner, type, at DESC);
CREATE INDEX output_names_name_idx ON output_names (owner, type, subfolder, filename);
ALTER TABLE output_counters ADD CONSTRAINT output_counters_pkey PRIMARY KEY (id);

CREATE POLICY own ON output_names FOR SELECT TO comfyplus_query USING (owner = (SELECT read.viewer()));
