-- Where sessions were begun from, and what accounts have changed their passwords and addresses to.

CREATE TABLE work.sessions (
    session uuid NOT NULL,
    account uuid NOT NULL,
    user_agent text NOT NULL,
    address text NOT NULL,
    began_at timestamptz NOT NULL,
    used_at timestamptz NOT NULL,
    CONSTRAINT sessions_pkey PRIMARY KEY (session)
);
CREATE INDEX sessions_account_idx ON work.sessions (account, used_at DESC);
CREATE INDEX sessions_used_at_idx ON work.sessions (used_at);
-- When those of before have begun nobody has written down.
INSERT INTO work.sessions (session, account, user_agent, address, began_at, used_at)
SELECT session, account, '', '', now(), now() FROM work.refresh_tokens WHERE NOT used GROUP BY session, account;

-- Kept before the event that makes one count, by the id that the event names; the account's state tells which it is.
CREATE TABLE work.passwords (
    id uuid NOT NULL,
    account uuid NOT NULL,
    hash text NOT NULL,
    CONSTRAINT passwords_pkey PRIMARY KEY (id)
);
CREATE INDEX passwords_account_idx ON work.passwords (account);
-- `name`: the stream of the address's reservation.
CREATE TABLE work.addresses (
    account uuid NOT NULL,
    name uuid NOT NULL,
    email text NOT NULL,
    CONSTRAINT addresses_pkey PRIMARY KEY (account, name)
);
CREATE INDEX refresh_tokens_account_idx ON work.refresh_tokens (account);
GRANT SELECT, INSERT, UPDATE, DELETE ON work.sessions, work.passwords, work.addresses TO comfyplus_app;
