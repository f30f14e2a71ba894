CREATE TABLE feed (
    position bigint NOT NULL,
    place bigint NOT NULL,
    kind text NOT NULL,
    actor uuid NOT NULL,
    reader uuid,
    workflow uuid,
    comment uuid,
    at timestamptz NOT NULL,
    output uuid
);

CREATE TABLE feed_places (
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

ALTER TABLE feed ADD CONSTRAINT feed_pkey PRIMARY KEY (position, place);
CREATE INDEX feed_actor_idx ON feed (actor, position DESC) WHERE reader IS NULL;
CREATE INDEX feed_reader_idx ON feed (reader, position DESC) WHERE reader IS NOT NULL;
ALTER TABLE feed_places ADD CONSTRAINT feed_places_pkey PRIMARY KEY (stem, node, index);
CREATE UNIQUE INDEX feed_places_id_idx ON feed_places (id);

-- CASE, as Postgres takes coalesce() for something that may tell what it sees, and would not look into the index by it.
-- Whatever is about a workflow or an output is seen as that is; what is for one reader, by that one and whoever did it.
CREATE POLICY about_what_is_seen ON feed FOR SELECT TO comfyplus_query USING (
    (
        reader IS NULL AND (SELECT read.viewer()) IS NOT NULL
        OR reader = (SELECT read.viewer()) OR actor = (SELECT read.viewer())
    )
    AND (workflow IS NULL AND output IS NULL OR (
        SELECT (place.public OR place.owner = (SELECT read.viewer())) AND NOT place.away
        FROM feed_places AS place WHERE place.id = CASE WHEN feed.workflow IS NULL THEN feed.output ELSE feed.workflow END
    ))
);
CREATE POLICY own_and_public ON feed_places FOR SELECT TO comfyplus_query
    USING ((public OR owner = (SELECT read.viewer())) AND NOT away);
