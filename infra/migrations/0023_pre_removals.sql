-- Objects that a deleted run or input has left behind: removed once they are settled and nothing else needs them.

CREATE TABLE work.removals (
    digest text NOT NULL,
    position bigint NOT NULL,
    due_at timestamptz NOT NULL,
    CONSTRAINT removals_pkey PRIMARY KEY (digest)
);
CREATE INDEX removals_due_at_idx ON work.removals (due_at, digest);
GRANT SELECT, INSERT, UPDATE, DELETE ON work.removals TO comfyplus_dispatch;
INSERT INTO work.checkpoints (name, position) VALUES ('removing', 0);
