-- Webhooks: what is sent where, and what came of it. Working state beside the events `webhook.*`.

-- Addresses and secrets, encrypted. Never changed: another address is another row, which an event then names.
CREATE TABLE work.webhook_sealed (
    id uuid NOT NULL,
    webhook uuid NOT NULL,
    owner uuid NOT NULL,
    sealed bytea NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT webhook_sealed_pkey PRIMARY KEY (id)
);
CREATE INDEX webhook_sealed_webhook_idx ON work.webhook_sealed (webhook);
CREATE INDEX webhook_sealed_owner_idx ON work.webhook_sealed (owner);

-- `state` is folded from the log and true as of work.checkpoints 'webhooks'. The rest is the sender's: a lease is
-- held by one sender, and an endpoint is looked at when `next_at` has come, but not before `not_before`.
CREATE TABLE work.webhooks (
    webhook uuid NOT NULL,
    owner uuid NOT NULL,
    everybody boolean NOT NULL,
    ordered boolean NOT NULL,
    active boolean NOT NULL,
    state jsonb NOT NULL,
    next_at timestamptz,
    not_before timestamptz NOT NULL DEFAULT '-infinity',
    lease uuid,
    lease_until timestamptz,
    failures int NOT NULL DEFAULT 0,
    failing_since timestamptz,
    succeeded_at timestamptz,
    CONSTRAINT webhooks_pkey PRIMARY KEY (webhook)
) WITH (fillfactor = 70);
CREATE INDEX webhooks_owner_idx ON work.webhooks (owner);
CREATE INDEX webhooks_everybody_idx ON work.webhooks (webhook) WHERE everybody AND active;
CREATE INDEX webhooks_next_at_idx ON work.webhooks (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX webhooks_lease_until_idx ON work.webhooks (lease_until) WHERE lease_until IS NOT NULL;

-- One row for each event and endpoint; `position` 0 is a trial. Ordered endpoints are served by position.
CREATE TABLE work.webhook_deliveries (
    delivery uuid NOT NULL,
    webhook uuid NOT NULL,
    position bigint NOT NULL,
    type text NOT NULL,
    state text NOT NULL DEFAULT 'waiting',
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_at timestamptz DEFAULT now(),
    attempts int NOT NULL DEFAULT 0,
    first_attempt_at timestamptz,
    last_attempt_at timestamptz,
    duration_ms int,
    status int,
    answer text,
    error text,
    ended_at timestamptz,
    asked_by uuid,
    CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (delivery),
    CONSTRAINT webhook_deliveries_state_known CHECK (state IN ('waiting', 'delivered', 'failed', 'skipped'))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX webhook_deliveries_made_at_idx ON work.webhook_deliveries (webhook, made_at, delivery);
CREATE INDEX webhook_deliveries_position_idx ON work.webhook_deliveries (webhook, position) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_next_at_idx ON work.webhook_deliveries (webhook, next_at) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_ended_at_idx ON work.webhook_deliveries (ended_at) WHERE ended_at IS NOT NULL;

-- Ranges of the log that are to be sent once more; done up to `position`.
CREATE TABLE work.webhook_replays (
    replay uuid NOT NULL,
    webhook uuid NOT NULL,
    position bigint NOT NULL,
    until bigint NOT NULL,
    types text[] NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT webhook_replays_pkey PRIMARY KEY (replay)
);
CREATE INDEX webhook_replays_webhook_idx ON work.webhook_replays (webhook);
CREATE INDEX webhook_replays_open_idx ON work.webhook_replays (made_at) WHERE ended_at IS NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON
    work.webhook_sealed, work.webhooks, work.webhook_deliveries, work.webhook_replays TO comfyplus_app;
GRANT UPDATE ON work.checkpoints TO comfyplus_app;
INSERT INTO work.checkpoints (name, position)
SELECT 'webhooks', coalesce(max(notification_id), 0) FROM log.events;
