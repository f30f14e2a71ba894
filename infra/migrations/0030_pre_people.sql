-- Administrators see everybody; accounts that are suspended have their runs held.

-- Set for a transaction in which an administrator asks, as read.viewer() is for an account.
CREATE FUNCTION read.administrator() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS
    $$ SELECT coalesce(current_setting('comfyplus.administrator', true), '') = 'on' $$;

CREATE TABLE work.suspended (
    owner uuid NOT NULL,
    CONSTRAINT suspended_pkey PRIMARY KEY (owner)
);
GRANT SELECT, INSERT, DELETE ON work.suspended TO comfyplus_dispatch;
