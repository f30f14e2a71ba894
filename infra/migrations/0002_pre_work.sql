-- Working state: what is not history. Written by the adapters, migrated, backed up.

CREATE TABLE work.credentials (
    account uuid NOT NULL,
    username text NOT NULL,
    username_key text NOT NULL,
    email text NOT NULL,
    email_key text NOT NULL,
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT credentials_pkey PRIMARY KEY (account)
);
-- Not unique: the reservation streams decide who holds a name; an orphan of a lost race is collected later.
CREATE INDEX credentials_username_key_idx ON work.credentials (username_key);
CREATE INDEX credentials_email_key_idx ON work.credentials (email_key);

CREATE TABLE work.refresh_tokens (
    token_hash bytea NOT NULL,
    session uuid NOT NULL,
    account uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    used boolean NOT NULL DEFAULT false,
    CONSTRAINT refresh_tokens_pkey PRIMARY KEY (token_hash)
);
CREATE INDEX refresh_tokens_session_idx ON work.refresh_tokens (session);
CREATE INDEX refresh_tokens_expires_at_idx ON work.refresh_tokens (expires_at);

-- The builds of each read model; one is live, others are being built or wait to be dropped.
CREATE TABLE work.projections (
    name text NOT NULL,
    generation int NOT NULL,
    version int NOT NULL,
    position bigint NOT NULL DEFAULT 0,
    state text NOT NULL,
    parked_position bigint,
    parked_reason text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT projections_pkey PRIMARY KEY (name, generation),
    CONSTRAINT projections_state_known CHECK (state IN ('building', 'live', 'retired'))
);
CREATE UNIQUE INDEX projections_one_live ON work.projections (name) WHERE state = 'live';

CREATE TABLE work.checkpoints (
    name text NOT NULL,
    position bigint NOT NULL,
    CONSTRAINT checkpoints_pkey PRIMARY KEY (name)
);
INSERT INTO work.checkpoints (name, position) VALUES ('dispatch', 0);

-- Runs that are not over. `rank` orders the waiting: submission time in seconds minus 600 for each step of
-- priority, so that ten minutes of waiting weigh as much as one step.
CREATE TABLE work.queue (
    run uuid NOT NULL,
    version bigint NOT NULL,
    owner uuid NOT NULL,
    state text NOT NULL,
    rank double precision NOT NULL,
    not_before timestamptz NOT NULL,
    graph text NOT NULL,
    timeout_s int NOT NULL,
    epoch int NOT NULL DEFAULT 0,
    backend text,
    executor text,
    lease_until timestamptz,
    position bigint NOT NULL,
    CONSTRAINT queue_pkey PRIMARY KEY (run),
    CONSTRAINT queue_state_known CHECK (state IN ('waiting', 'held'))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX queue_rank_idx ON work.queue (rank, run) WHERE state = 'waiting';
CREATE INDEX queue_lease_until_idx ON work.queue (lease_until) WHERE state = 'held';
CREATE INDEX queue_executor_idx ON work.queue (executor) WHERE state = 'held';

-- Who drives which backend, and when it last said so.
CREATE TABLE work.backends (
    name text NOT NULL,
    executor text NOT NULL,
    live boolean NOT NULL,
    seen_until timestamptz NOT NULL,
    CONSTRAINT backends_pkey PRIMARY KEY (name)
);
