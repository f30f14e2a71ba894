CREATE TABLE profiles (
    account uuid NOT NULL,
    username text NOT NULL,
    display_name text NOT NULL,
    bio text NOT NULL,
    links jsonb NOT NULL,
    avatar uuid,
    registered_at timestamptz NOT NULL,
    followers bigint NOT NULL,
    following bigint NOT NULL,
    workflows bigint NOT NULL
);

CREATE TABLE profile_workflows (
    workflow uuid NOT NULL,
    owner uuid NOT NULL
);

-- once loaded

ALTER TABLE profiles ADD CONSTRAINT profiles_pkey PRIMARY KEY (account);
ALTER TABLE profile_workflows ADD CONSTRAINT profile_workflows_pkey PRIMARY KEY (workflow);

CREATE POLICY logged_in ON profiles FOR SELECT TO comfyplus_query
    USING ((SELECT read.viewer()) IS NOT NULL);
CREATE POLICY published ON profiles FOR SELECT TO comfyplus_query USING (workflows > 0);
-- All of it is published.
CREATE POLICY everybody ON profile_workflows FOR SELECT TO comfyplus_query USING (true);
