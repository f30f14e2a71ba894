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
    workflows bigint NOT NULL,
    outputs bigint NOT NULL
);

CREATE TABLE profile_places (
    stem uuid NOT NULL,
    node text NOT NULL,
    index bigint NOT NULL,
    id uuid NOT NULL,
    owner uuid NOT NULL,
    public boolean NOT NULL,
    wanted boolean NOT NULL,
    away boolean NOT NULL
);

-- once loaded

ALTER TABLE profiles ADD CONSTRAINT profiles_pkey PRIMARY KEY (account);
ALTER TABLE profile_places ADD CONSTRAINT profile_places_pkey PRIMARY KEY (stem, node, index);

CREATE POLICY logged_in ON profiles FOR SELECT TO comfyplus_query
    USING ((SELECT read.viewer()) IS NOT NULL);
CREATE POLICY published ON profiles FOR SELECT TO comfyplus_query USING (workflows > 0 OR outputs > 0);
CREATE POLICY own_and_public ON profile_places FOR SELECT TO comfyplus_query
    USING ((public OR owner = (SELECT read.viewer())) AND NOT away);
