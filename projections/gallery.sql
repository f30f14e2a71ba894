CREATE TABLE gallery (
    id uuid NOT NULL,
    owner uuid NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    tags jsonb NOT NULL,
    versions bigint NOT NULL,
    thumbnails jsonb NOT NULL,
    published_at timestamptz,
    updated_at timestamptz NOT NULL,
    hidden_at timestamptz,
    sensitive boolean NOT NULL
);

CREATE TABLE gallery_counts (
    workflow uuid NOT NULL,
    owner uuid NOT NULL,
    shown boolean NOT NULL,
    likes bigint NOT NULL,
    runs bigint NOT NULL,
    trend bigint NOT NULL
);

CREATE TABLE gallery_words (
    workflow uuid NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    tags jsonb NOT NULL
);

CREATE TABLE gallery_tagged (
    workflow uuid NOT NULL,
    tag text NOT NULL,
    published_at timestamptz NOT NULL,
    likes bigint NOT NULL,
    runs bigint NOT NULL,
    trend bigint NOT NULL
);

CREATE TABLE gallery_likes (
    id uuid NOT NULL,
    account uuid NOT NULL,
    workflow uuid NOT NULL,
    at timestamptz NOT NULL
);

CREATE TABLE gallery_facets (
    facet text NOT NULL,
    name text NOT NULL,
    shown bigint NOT NULL
);

CREATE TABLE gallery_authors (
    account uuid NOT NULL,
    username text NOT NULL,
    shown bigint NOT NULL
);

-- once loaded

ALTER TABLE gallery ADD CONSTRAINT gallery_pkey PRIMARY KEY (id);
CREATE INDEX gallery_published_at_idx ON gallery (published_at DESC, id DESC) WHERE published_at IS NOT NULL;
CREATE INDEX gallery_owner_idx ON gallery (owner, published_at DESC, id DESC) WHERE published_at IS NOT NULL;
ALTER TABLE gallery_counts ADD CONSTRAINT gallery_counts_pkey PRIMARY KEY (workflow);
CREATE INDEX gallery_counts_likes_idx ON gallery_counts (likes DESC, workflow DESC) WHERE shown;
CREATE INDEX gallery_counts_runs_idx ON gallery_counts (runs DESC, workflow DESC) WHERE shown;
CREATE INDEX gallery_counts_trend_idx ON gallery_counts (trend DESC, workflow DESC) WHERE shown;
ALTER TABLE gallery_words ADD CONSTRAINT gallery_words_pkey PRIMARY KEY (workflow);
-- English, so that `portraits` finds `portrait`; simple, so that every other language is found as it is written.
CREATE INDEX gallery_words_document_idx ON gallery_words USING gin ((
    to_tsvector('english', name) || to_tsvector('simple', name)
    || to_tsvector('english', description) || to_tsvector('simple', description)
    || to_tsvector('english', tags) || to_tsvector('simple', tags)
));
ALTER TABLE gallery_tagged ADD CONSTRAINT gallery_tagged_pkey PRIMARY KEY (workflow, tag);
CREATE INDEX gallery_tagged_published_at_idx ON gallery_tagged (tag, published_at DESC, workflow DESC);
CREATE INDEX gallery_tagged_likes_idx ON gallery_tagged (tag, likes DESC, workflow DESC);
CREATE INDEX gallery_tagged_runs_idx ON gallery_tagged (tag, runs DESC, workflow DESC);
CREATE INDEX gallery_tagged_trend_idx ON gallery_tagged (tag, trend DESC, workflow DESC);
ALTER TABLE gallery_likes ADD CONSTRAINT gallery_likes_pkey PRIMARY KEY (id);
CREATE INDEX gallery_likes_account_idx ON gallery_likes (account, workflow);
ALTER TABLE gallery_facets ADD CONSTRAINT gallery_facets_pkey PRIMARY KEY (facet, name);
CREATE INDEX gallery_facets_shown_idx ON gallery_facets (facet, shown DESC, name);
ALTER TABLE gallery_authors ADD CONSTRAINT gallery_authors_pkey PRIMARY KEY (account);

CREATE POLICY own_and_published ON gallery FOR SELECT TO comfyplus_query
    USING (published_at IS NOT NULL OR owner = (SELECT read.viewer()));
CREATE POLICY own_and_published ON gallery_counts FOR SELECT TO comfyplus_query
    USING (shown OR owner = (SELECT read.viewer()));
-- All of it is published; a condition here would keep Postgres from the indexes of words.
CREATE POLICY everybody ON gallery_words FOR SELECT TO comfyplus_query USING (true);
CREATE POLICY everybody ON gallery_tagged FOR SELECT TO comfyplus_query USING (true);
CREATE POLICY own ON gallery_likes FOR SELECT TO comfyplus_query USING (account = (SELECT read.viewer()));
CREATE POLICY everybody ON gallery_facets FOR SELECT TO comfyplus_query USING (true);
CREATE POLICY published ON gallery_authors FOR SELECT TO comfyplus_query USING (shown > 0);
