-- Erasure and export: a key for each account, and what is left to do after one was erased.

-- The key of an account's personal fields in the log, itself sealed with the server's secret. Without it they are noise.
CREATE TABLE work.account_keys (
    account uuid NOT NULL,
    key bytea NOT NULL,
    CONSTRAINT account_keys_pkey PRIMARY KEY (account)
);
GRANT SELECT, INSERT, DELETE ON work.account_keys TO comfyplus_app;
GRANT SELECT ON work.account_keys TO comfyplus_project, comfyplus_dispatch;

-- Forget everything that working state knows of an account; the log tells the rest no more.
-- Whatever table of this schema has a column `account uuid` is cleared of it, also one of a later migration.
CREATE FUNCTION work.erase_account(erased uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    held regclass;
BEGIN
    FOR held IN
        SELECT c.oid::regclass FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'work'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND a.attname = 'account' AND a.atttypid = 'uuid'::regtype AND NOT a.attisdropped
        ORDER BY c.relname
    LOOP
        EXECUTE format('DELETE FROM %s WHERE account = $1', held) USING erased;
    END LOOP;
    DELETE FROM log.snapshots WHERE originator_id = erased;
END $$;
REVOKE ALL ON FUNCTION work.erase_account FROM PUBLIC;
GRANT EXECUTE ON FUNCTION work.erase_account TO comfyplus_app, comfyplus_dispatch;

-- Erased accounts of which something is left to be removed. `erased` is not called account: this must outlive it.
CREATE TABLE work.erasing (
    erased uuid NOT NULL,
    at timestamptz NOT NULL,
    position bigint NOT NULL,
    with_published boolean NOT NULL,
    CONSTRAINT erasing_pkey PRIMARY KEY (erased)
);
GRANT SELECT, INSERT, DELETE ON work.erasing TO comfyplus_dispatch;
GRANT SELECT ON work.erasing TO comfyplus_app;
INSERT INTO work.checkpoints (name, position) VALUES ('erasing', 0);

-- What people have asked for of their own: an archive each, built in the background, in files named by the id.
CREATE TABLE work.exports (
    id uuid NOT NULL,
    account uuid NOT NULL,
    state text NOT NULL DEFAULT 'waiting',
    done bigint NOT NULL DEFAULT 0,
    total bigint NOT NULL DEFAULT 0,
    size_bytes bigint,
    reason text,
    asked_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT exports_pkey PRIMARY KEY (id),
    CONSTRAINT exports_state_known CHECK (state IN ('waiting', 'building', 'ready', 'failed'))
);
CREATE UNIQUE INDEX exports_one_at_a_time ON work.exports (account) WHERE state IN ('waiting', 'building');
CREATE INDEX exports_account_idx ON work.exports (account, asked_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON work.exports TO comfyplus_app;

-- States of accounts held their names in the clear.
DELETE FROM log.snapshots WHERE topic LIKE 'Account.%';
