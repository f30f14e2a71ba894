CREATE TABLE shared_outputs (
    run uuid NOT NULL,
    node text NOT NULL,
    index bigint NOT NULL,
    id uuid NOT NULL,
    owner uuid NOT NULL,
    shown boolean NOT NULL,
    wanted boolean NOT NULL,
    hidden_for text NOT NULL,
    sensitive boolean NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    tags jsonb NOT NULL,
    file jsonb NOT NULL,
    graph text,
    values text,
    published_at timestamptz NOT NULL,
    likes bigint NOT NULL,
    trend bigint NOT NULL
);

CREATE TABLE shared_words (
    run uuid NOT NULL,
    node text NOT NULL,
    index bigint NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    tags jsonb NOT NULL
);

CREATE TABLE shared_tagged (
    run uuid NOT NULL,
    node text NOT NULL,
    index bigint NOT NULL,
    tag text NOT NULL,
    id uuid NOT NULL,
    published_at timestamptz NOT NULL,
    likes bigint NOT NULL,
    trend bigint NOT NULL
);

CREATE TABLE shared_facets (
    facet text NOT NULL,
    name text NOT NULL,
    shown bigint NOT NULL
);

CREATE TABLE output_likes (
    id uuid NOT NULL,
    account uuid NOT NULL,
    output uuid NOT NULL
);

CREATE TABLE output_authors (
    account uuid NOT NULL,
    username text NOT NULL,
    shows boolean NOT NULL
);

-- once loaded

ALTER TABLE shared_outputs ADD CONSTRAINT shared_outputs_pkey PRIMARY KEY (run, node, index);
CREATE UNIQUE INDEX shared_outputs_id_idx ON shared_outputs (id);
CREATE INDEX shared_outputs_published_at_idx ON shared_outputs (published_at DESC, id DESC) WHERE shown;
CREATE INDEX shared_outputs_likes_idx ON shared_outputs (likes DESC, id DESC) WHERE shown;
CREATE INDEX shared_outputs_trend_idx ON shared_outputs (trend DESC, id DESC) WHERE shown;
CREATE INDEX shared_outputs_owner_idx ON shared_outputs (owner, published_at DESC, id DESC);
ALTER TABLE shared_words ADD CONSTRAINT shared_words_pkey PRIMARY KEY (run, node, index);
CREATE INDEX shared_words_id_idx ON shared_words (id);
CREATE INDEX shared_words_document_idx ON shared_words USING gin ((
    to_tsvector('english', name) || to_tsvector('simple', name)
    || to_tsvector('english', description) || to_tsvector('simple', description)
    || to_tsvector('english', tags) || to_tsvector('simple', tags)
));
ALTER TABLE shared_tagged ADD CONSTRAINT shared_tagged_pkey PRIMARY KEY (run, node, index, tag);
CREATE INDEX shared_tagged_published_at_idx ON shared_tagged (tag, published_at DESC, id DESC);
CREATE INDEX shared_tagged_likes_idx ON shared_tagged (tag, likes DESC, id DESC);
CREATE INDEX shared_tagged_trend_idx ON shared_tagged (tag, trend DESC, id DESC);
ALTER TABLE shared_facets ADD CONSTRAINT shared_facets_pkey PRIMARY KEY (facet, name);
CREATE INDEX shared_facets_shown_idx ON shared_facets (facet, shown DESC, name);
ALTER TABLE output_likes ADD CONSTRAINT output_likes_pkey PRIMARY KEY (id);
CREATE INDEX output_likes_account_idx ON output_likes (account, output);
ALTER TABLE output_authors ADD CONSTRAINT output_authors_pkey PRIMARY KEY (account);

CREATE POLICY own_and_shown ON shared_outputs FOR SELECT TO comfyplus_query
    USING (shown OR owner = (SELECT read.viewer()));
-- All of it is shown; a condition here would keep Postgres from the indexes of words.
CREATE POLICY everybody ON shared_words FOR SELECT TO comfyplus_query USING (true);
CREATE POLICY everybody ON shared_tagged FOR SELECT TO comfyplus_query USING (true);
CREATE POLICY everybody ON shared_facets FOR SELECT TO comfyplus_query USING (true);
CREATE POLICY own ON output_likes FOR SELECT TO comfyplus_query USING (account = (SELECT read.viewer()));
CREATE POLICY shows ON output_authors FOR SELECT TO comfyplus_query USING (shows);
