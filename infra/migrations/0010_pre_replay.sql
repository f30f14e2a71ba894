-- Replay for those who operate the whole: rebuilds that are asked for, followed, cancelled and taken up again.

-- `skipped`: the positions of the events that the build has left out, up to its checkpoint.
-- A build that was replaced is kept for a while (`retired`); one that is brought up to date again is `returning`.
ALTER TABLE work.projections ADD COLUMN skipped bigint[] NOT NULL DEFAULT '{}';
ALTER TABLE work.projections DROP CONSTRAINT projections_state_known;
ALTER TABLE work.projections ADD CONSTRAINT projections_state_known
    CHECK (state IN ('building', 'live', 'retired', 'returning'));

-- What was asked for and what became of it. Whoever holds the read model's lock works on it; when that process dies,
-- the job stays as it is and the next one goes on. `request`: the idempotency key it was asked with.
CREATE TABLE work.rebuilds (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    name text NOT NULL,
    kind text NOT NULL,
    state text NOT NULL DEFAULT 'asked',
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    ended_at timestamptz,
    cancelling boolean NOT NULL DEFAULT false,
    done bigint NOT NULL DEFAULT 0,
    total bigint NOT NULL DEFAULT 0,
    events_s double precision NOT NULL DEFAULT 0,
    eta_s double precision,
    generation int,
    fault text,
    parked_position bigint,
    request uuid,
    request_hash bytea,
    CONSTRAINT rebuilds_pkey PRIMARY KEY (id),
    CONSTRAINT rebuilds_kind_known CHECK (kind IN ('rebuild', 'rollback')),
    CONSTRAINT rebuilds_state_known CHECK (state IN ('asked', 'running', 'done', 'failed', 'cancelled')),
    CONSTRAINT rebuilds_request_once UNIQUE (request)
);
CREATE UNIQUE INDEX rebuilds_one_open ON work.rebuilds (name) WHERE state IN ('asked', 'running');
CREATE INDEX rebuilds_asked_at_idx ON work.rebuilds (asked_at DESC, id);
GRANT SELECT, INSERT, UPDATE ON work.rebuilds TO comfyplus_app, comfyplus_project;
