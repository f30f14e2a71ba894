CREATE TABLE people (
    account uuid NOT NULL,
    username text NOT NULL,
    name_key text NOT NULL,
    role text NOT NULL,
    suspended_at timestamptz,
    suspended_for text NOT NULL,
    registered_at timestamptz NOT NULL,
    logged_in_at timestamptz
);

-- once loaded

ALTER TABLE people ADD CONSTRAINT people_pkey PRIMARY KEY (account);
CREATE INDEX people_registered_at_idx ON people (registered_at DESC, account DESC);
CREATE INDEX people_name_key_idx ON people (name_key COLLATE "C", account);
CREATE INDEX people_role_idx ON people (role, registered_at DESC, account DESC) WHERE role <> 'member';
CREATE INDEX people_suspended_idx ON people (registered_at DESC, account DESC) WHERE suspended_at IS NOT NULL;

CREATE POLICY own ON people FOR SELECT TO comfyplus_query USING (account = (SELECT read.viewer()));
CREATE POLICY administrators ON people FOR SELECT TO comfyplus_query USING ((SELECT read.administrator()));
