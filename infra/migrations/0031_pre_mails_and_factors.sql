-- Mails that wait to be sent, and what they let whoever reads them do once; second factors.

-- `sealed`: address and text, with a key made from the server's secret. `due_at` is put off before each attempt.
CREATE TABLE work.mails (
    id uuid NOT NULL,
    account uuid NOT NULL,
    sealed bytea NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL,
    CONSTRAINT mails_pkey PRIMARY KEY (id)
);
CREATE INDEX mails_due_at_idx ON work.mails (due_at);

-- `email`: the stream of the address's reservation. `epoch`: of the account, when the mail was written.
CREATE TABLE work.mail_tokens (
    token_hash bytea NOT NULL,
    account uuid NOT NULL,
    purpose text NOT NULL,
    email uuid NOT NULL,
    epoch int NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT mail_tokens_pkey PRIMARY KEY (token_hash),
    CONSTRAINT mail_tokens_purpose_known CHECK (purpose IN ('reset', 'confirm'))
);
CREATE INDEX mail_tokens_expires_at_idx ON work.mail_tokens (expires_at);
CREATE INDEX mail_tokens_account_idx ON work.mail_tokens (account);
GRANT SELECT, INSERT, UPDATE, DELETE ON work.mails, work.mail_tokens TO comfyplus_app;

-- Secrets of second factors, encrypted, by the id that the event names; the account's state tells which one counts.
-- `last_step`: of the last code that was taken, so that none is taken twice.
CREATE TABLE work.factors (
    id uuid NOT NULL,
    account uuid NOT NULL,
    sealed bytea NOT NULL,
    last_step bigint NOT NULL DEFAULT 0,
    made_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT factors_pkey PRIMARY KEY (id)
);
CREATE INDEX factors_account_idx ON work.factors (account);
CREATE TABLE work.recovery_codes (
    factor uuid NOT NULL,
    account uuid NOT NULL,
    code_hash bytea NOT NULL,
    CONSTRAINT recovery_codes_pkey PRIMARY KEY (factor, code_hash)
);
CREATE INDEX recovery_codes_account_idx ON work.recovery_codes (account);
GRANT SELECT, INSERT, UPDATE, DELETE ON work.factors, work.recovery_codes TO comfyplus_app;
