-- Pictures as they were handed out: objects made of other objects. They are made anew when they are gone.

CREATE TABLE work.renditions (
    source text NOT NULL,
    rendition text NOT NULL,
    digest text NOT NULL,
    media_type text NOT NULL,
    made_at timestamptz NOT NULL,
    CONSTRAINT renditions_pkey PRIMARY KEY (source, rendition)
);
CREATE INDEX renditions_made_at_idx ON work.renditions (made_at);
GRANT SELECT, INSERT, UPDATE ON work.renditions TO comfyplus_app;
GRANT SELECT, DELETE ON work.renditions TO comfyplus_dispatch;
GRANT SELECT ON work.renditions TO comfyplus_project;
