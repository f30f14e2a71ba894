-- Who may do what. The roles themselves are made by the migration program, which knows their passwords.

GRANT USAGE ON SCHEMA log TO comfyplus_app, comfyplus_project, comfyplus_dispatch, comfyplus_relay;
GRANT SELECT ON log.identity, log.events TO comfyplus_app, comfyplus_project, comfyplus_dispatch, comfyplus_relay;
GRANT SELECT ON log.idempotency TO comfyplus_app;
GRANT SELECT, INSERT ON log.contents TO comfyplus_app;
GRANT SELECT ON log.contents TO comfyplus_dispatch;
GRANT SELECT, INSERT, DELETE ON log.snapshots TO comfyplus_app, comfyplus_dispatch;
REVOKE ALL ON FUNCTION log.append FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log.append TO comfyplus_app, comfyplus_dispatch;

GRANT USAGE ON SCHEMA work TO comfyplus_app, comfyplus_project, comfyplus_dispatch, comfyplus_query;
GRANT SELECT, INSERT, UPDATE, DELETE ON work.credentials, work.refresh_tokens TO comfyplus_app;
GRANT SELECT ON work.projections TO comfyplus_app, comfyplus_query;
GRANT SELECT, INSERT, UPDATE, DELETE ON work.projections TO comfyplus_project;
GRANT SELECT, UPDATE ON work.checkpoints TO comfyplus_dispatch;
GRANT SELECT ON work.checkpoints, work.queue TO comfyplus_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON work.queue, work.backends TO comfyplus_dispatch;

-- Read models: each build is a schema that comfyplus_project makes and owns; the views in `read` lead there.
GRANT CREATE ON SCHEMA read TO comfyplus_project;
GRANT USAGE ON SCHEMA read TO comfyplus_project, comfyplus_query;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO comfyplus_project', current_database()); END $$;

CREATE FUNCTION read.viewer() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS
    $$ SELECT nullif(current_setting('comfyplus.account', true), '')::uuid $$;
