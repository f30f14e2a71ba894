-- Pictures of accounts: a few kilobytes each, kept here so that they go in one step with the account.

-- Kept before the event that makes one count, by the id that the event names. Where the account is forgotten at the same
-- moment the reference keeps its picture from staying.
CREATE TABLE work.avatars (
    id uuid NOT NULL,
    account uuid NOT NULL,
    media_type text NOT NULL,
    body bytea NOT NULL,
    CONSTRAINT avatars_pkey PRIMARY KEY (id),
    CONSTRAINT avatars_account_known FOREIGN KEY (account) REFERENCES work.credentials (account) ON DELETE CASCADE
);
CREATE INDEX avatars_account_idx ON work.avatars (account);
GRANT SELECT, INSERT, DELETE ON work.avatars TO comfyplus_app;
