-- What the audit of the log has found, and what a log that was restored from a backup was before.

-- `tail`: everything that is new, each minute. `round`: round and round over the whole log, gently.
-- `position` and `seal` are the last that were found sound; a fault stays until what is there is sound again.
CREATE TABLE work.audits (
    name text NOT NULL,
    position bigint NOT NULL,
    seal bytea NOT NULL,
    at timestamptz NOT NULL,
    rounds bigint NOT NULL DEFAULT 0,
    fault_position bigint,
    fault_kind text,
    fault_detail text,
    fault_since timestamptz,
    CONSTRAINT audits_pkey PRIMARY KEY (name),
    CONSTRAINT audits_name_known CHECK (name IN ('tail', 'round')),
    CONSTRAINT audits_fault_whole CHECK (num_nulls(fault_position, fault_kind, fault_detail, fault_since) IN (0, 4))
);
GRANT SELECT, INSERT, UPDATE ON work.audits TO comfyplus_app;

-- A log that was restored goes on under an identity of its own, as its next positions will tell another story than
-- those that came after the backup. Here stand the identities it had, and up to where it is the same log.
CREATE TABLE log.ancestry (
    id uuid NOT NULL,
    position bigint NOT NULL,
    seal bytea NOT NULL,
    restored_at timestamptz NOT NULL,
    CONSTRAINT ancestry_pkey PRIMARY KEY (id)
);
CREATE TRIGGER ancestry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log.ancestry
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();
GRANT SELECT ON log.ancestry TO comfyplus_app, comfyplus_project, comfyplus_dispatch, comfyplus_relay;
