-- Backends that are registered while the whole runs.

-- Where they are and what opens them, encrypted. Never changed: another address is another row, which an event names.
CREATE TABLE work.backend_sealed (
    id uuid NOT NULL,
    backend text NOT NULL,
    account uuid,
    sealed bytea NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT backend_sealed_pkey PRIMARY KEY (id)
);
CREATE INDEX backend_sealed_backend_idx ON work.backend_sealed (backend);

GRANT SELECT, INSERT, DELETE ON work.backend_sealed TO comfyplus_app;
GRANT SELECT ON work.backend_sealed TO comfyplus_dispatch;
GRANT SELECT ON work.backends TO comfyplus_app;
-- What backends have is a document beside the log, brought by their executors.
GRANT INSERT ON log.contents TO comfyplus_dispatch;
