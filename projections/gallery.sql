CREATE TABLE gallery (
    id uuid NOT NULL,
    owner uuid NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    tags jsonb NOT NULL,
    versions bigint NOT NULL,
    published_at timestamptz,
    updated_at timestamptz NOT NULL
);

CREATE TABLE gallery_authors (
    account uuid NOT NULL,
    username text NOT NULL,
    shown bigint NOT NULL
);

-- once loaded

ALTER TABLE gallery ADD CONSTRAINT gallery_pkey PRIMARY KEY (id);
CREATE INDEX gallery_published_at_idx ON gallery (published_at DESC, id DESC) WHERE published_at IS NOT NULL;
ALTER TABLE gallery_authors ADD CONSTRAINT gallery_authors_pkey PRIMARY KEY (account);

CREATE POLICY published ON gallery FOR SELECT TO comfyplus_query USING (published_at IS NOT NULL);
CREATE POLICY published ON gallery_authors FOR SELECT TO comfyplus_query USING (shown > 0);
