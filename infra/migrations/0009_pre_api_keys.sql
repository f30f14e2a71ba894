-- API keys that open doors. A key that was revoked has no row; the log tells that there was one.

CREATE TABLE work.api_keys (
    key uuid NOT NULL,
    account uuid NOT NULL,
    name text NOT NULL,
    scopes text[] NOT NULL,
    key_hash bytea NOT NULL,
    made_at timestamptz NOT NULL,
    expires_at timestamptz,
    used_at timestamptz,
    CONSTRAINT api_keys_pkey PRIMARY KEY (key)
);
CREATE INDEX api_keys_account_idx ON work.api_keys (account, made_at, key);

GRANT SELECT, INSERT, UPDATE, DELETE ON work.api_keys TO comfyplus_app;
