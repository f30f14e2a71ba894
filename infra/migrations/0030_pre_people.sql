-- Administrators see everybody; accounts that are suspended have their runs held.

-- Set for a transaction in which an administrator asks, as read.viewer() is for an account.
CREATE FUNCTION read.administrator() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS
    $$ SELECT coalesce(current_setting('comfyplus.administrator', true), '') = 'on' $$;

CREATE TABLE work.suspended (
    owner uuid NOT NULL,
    CONSTRAINT suspended_pkey PRIMARY KEY (owner)
);
GRANT SELECT, INSERT, DELETE ON work.suspended TO comfyplus_dispatch;

-- How often somebody has been wrong lately: of each login and each address, known by a keyed hash, the instant at which
-- all is forgiven. Every wrong attempt puts it off.
CREATE TABLE work.attempts (
    key uuid NOT NULL,
    until timestamptz NOT NULL,
    CONSTRAINT attempts_pkey PRIMARY KEY (key)
);
CREATE INDEX attempts_until_idx ON work.attempts (until);
GRANT SELECT, INSERT, UPDATE, DELETE ON work.attempts TO comfyplus_app;
