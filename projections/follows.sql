CREATE TABLE follows (
    id uuid NOT NULL,
    follower uuid NOT NULL,
    followed uuid NOT NULL,
    position bigint NOT NULL
);

CREATE TABLE follow_counts (
    account uuid NOT NULL,
    username text NOT NULL,
    followers bigint NOT NULL,
    following bigint NOT NULL
);

-- once loaded

ALTER TABLE follows ADD CONSTRAINT follows_pkey PRIMARY KEY (id);
CREATE INDEX follows_followed_idx ON follows (followed, position DESC);
CREATE INDEX follows_follower_idx ON follows (follower, position DESC);
ALTER TABLE follow_counts ADD CONSTRAINT follow_counts_pkey PRIMARY KEY (account);

CREATE POLICY logged_in ON follows FOR SELECT TO comfyplus_query
    USING ((SELECT read.viewer()) IS NOT NULL);
CREATE POLICY logged_in ON follow_counts FOR SELECT TO comfyplus_query
    USING ((SELECT read.viewer()) IS NOT NULL AND (followers > 0 OR following > 0));
