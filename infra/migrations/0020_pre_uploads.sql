-- Uploads under way. How much of one is there, its file tells; `room_bytes` is kept free for it in its account's quota.
CREATE TABLE work.uploads (
    id uuid NOT NULL,
    account uuid NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    file text NOT NULL,
    size_bytes bigint,
    room_bytes bigint NOT NULL,
    digest text,
    made_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    lora uuid,
    position bigint,
    CONSTRAINT uploads_pkey PRIMARY KEY (id)
);
CREATE INDEX uploads_account_idx ON work.uploads (account);
CREATE INDEX uploads_expires_at_idx ON work.uploads (expires_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON work.uploads TO comfyplus_app;
