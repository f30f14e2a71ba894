CREATE TABLE comments (
    id uuid NOT NULL,
    place uuid NOT NULL,
    kind text NOT NULL,
    parent uuid,
    position bigint NOT NULL,
    owner uuid NOT NULL,
    text text NOT NULL,
    mentions jsonb NOT NULL,
    replies bigint NOT NULL,
    posted_at timestamptz NOT NULL,
    edited_at timestamptz,
    deleted boolean NOT NULL,
    hidden boolean NOT NULL
);

CREATE TABLE comment_hidden (
    id uuid NOT NULL,
    owner uuid NOT NULL,
    text text NOT NULL,
    mentions jsonb NOT NULL,
    reason text NOT NULL
);

CREATE TABLE comment_places (
    stem uuid NOT NULL,
    node text NOT NULL,
    index bigint NOT NULL,
    id uuid NOT NULL,
    owner uuid NOT NULL,
    public boolean NOT NULL,
    wanted boolean NOT NULL,
    away boolean NOT NULL,
    comments bigint NOT NULL
);

CREATE TABLE comment_speakers (
    account uuid NOT NULL,
    username text NOT NULL,
    heard boolean NOT NULL
);

-- once loaded

ALTER TABLE comments ADD CONSTRAINT comments_pkey PRIMARY KEY (id);
CREATE INDEX comments_place_idx ON comments (place, position DESC) WHERE parent IS NULL;
CREATE INDEX comments_parent_idx ON comments (parent, position) WHERE parent IS NOT NULL;
CREATE INDEX comments_owner_idx ON comments (owner, position) WHERE NOT deleted;
ALTER TABLE comment_hidden ADD CONSTRAINT comment_hidden_pkey PRIMARY KEY (id);
ALTER TABLE comment_places ADD CONSTRAINT comment_places_pkey PRIMARY KEY (stem, node, index);
CREATE UNIQUE INDEX comment_places_id_idx ON comment_places (id);
ALTER TABLE comment_speakers ADD CONSTRAINT comment_speakers_pkey PRIMARY KEY (account);

-- As the workflow or output is seen, so are they; asked as one value, so that Postgres looks up one place and never all.
CREATE POLICY of_what_is_seen ON comments FOR SELECT TO comfyplus_query USING ((
    SELECT (place.public OR place.owner = (SELECT read.viewer())) AND NOT place.away
    FROM comment_places AS place WHERE place.id = comments.place
));
CREATE POLICY own ON comment_hidden FOR SELECT TO comfyplus_query USING (owner = (SELECT read.viewer()));
CREATE POLICY own_and_public ON comment_places FOR SELECT TO comfyplus_query
    USING ((public OR owner = (SELECT read.viewer())) AND NOT away);
CREATE POLICY heard ON comment_speakers FOR SELECT TO comfyplus_query USING (heard);
