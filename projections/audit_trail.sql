CREATE TABLE audit_trail (
    position bigint NOT NULL,
    stream uuid NOT NULL,
    kind text NOT NULL,
    topic text NOT NULL,
    version bigint NOT NULL,
    owner uuid,
    actor text NOT NULL,
    at timestamptz NOT NULL,
    correlation uuid NOT NULL,
    causation bigint,
    data jsonb NOT NULL
);

-- once loaded

ALTER TABLE audit_trail ADD CONSTRAINT audit_trail_pkey PRIMARY KEY (position);
CREATE INDEX audit_trail_stream_idx ON audit_trail (stream, position);
-- What came of one request stands close together: a filter for each few pages finds it, and costs next to nothing to keep.
CREATE INDEX audit_trail_correlation_idx ON audit_trail USING brin (correlation uuid_bloom_ops)
    WITH (pages_per_range = 32, autosummarize = on);

CREATE POLICY own ON audit_trail FOR SELECT TO comfyplus_query USING (owner = (SELECT read.viewer()));
CREATE POLICY administrators ON audit_trail FOR SELECT TO comfyplus_query USING ((SELECT read.administrator()));
