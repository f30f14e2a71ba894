-- Log-ins by a provider that are under way: begun here, going on in a browser, to be finished once and soon.

-- `key`: a hash of what only the provider's answer and the browser that began it know together.
CREATE TABLE work.sign_ons (
    key bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    account uuid,
    session uuid,
    identity uuid,
    CONSTRAINT sign_ons_pkey PRIMARY KEY (key)
);
CREATE INDEX sign_ons_expires_at_idx ON work.sign_ons (expires_at);
CREATE INDEX sign_ons_account_idx ON work.sign_ons (account) WHERE account IS NOT NULL;
GRANT SELECT, INSERT, DELETE ON work.sign_ons TO comfyplus_app;
