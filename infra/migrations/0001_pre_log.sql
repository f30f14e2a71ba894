-- The event log: what happened, once and for ever. Only log.append writes it; nothing changes it.

CREATE SCHEMA log;
CREATE SCHEMA work;
CREATE SCHEMA read;
REVOKE ALL ON SCHEMA public FROM PUBLIC;

CREATE TABLE log.identity (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    only_one boolean NOT NULL DEFAULT true,
    CONSTRAINT identity_only_one PRIMARY KEY (only_one),
    CONSTRAINT identity_is_true CHECK (only_one)
);
INSERT INTO log.identity DEFAULT VALUES;

-- The first five columns are the eventsourcing library's application recorder table.
CREATE TABLE log.events (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    notification_id bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    owner uuid,
    actor text NOT NULL,
    correlation uuid NOT NULL,
    causation bigint,
    CONSTRAINT events_pkey PRIMARY KEY (originator_id, originator_version),
    CONSTRAINT events_state_small CHECK (octet_length(state) < 65536)
);
ALTER TABLE log.events ALTER COLUMN state SET STORAGE MAIN;
CREATE UNIQUE INDEX events_notification_id_idx ON log.events (notification_id);
ALTER TABLE log.events SET (autovacuum_vacuum_insert_scale_factor = 0.5, autovacuum_analyze_scale_factor = 0.05);

-- The library's snapshot table; `topic` holds the state's shape.
CREATE TABLE log.snapshots (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    CONSTRAINT snapshots_pkey PRIMARY KEY (originator_id, originator_version)
);

-- Documents that events refer to by SHA-256: graphs. `body` is zlib-compressed, `size_bytes` counts it uncompressed.
CREATE TABLE log.contents (
    digest bytea NOT NULL,
    size_bytes bigint NOT NULL,
    body bytea NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT contents_pkey PRIMARY KEY (digest),
    CONSTRAINT contents_digest_is_sha256 CHECK (octet_length(digest) = 32)
);
ALTER TABLE log.contents ALTER COLUMN body SET STORAGE EXTERNAL;

-- What a client's idempotency key has written, so that a repeat gets the same answer.
CREATE TABLE log.idempotency (
    actor text NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    position bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT idempotency_pkey PRIMARY KEY (actor, key)
);

CREATE FUNCTION log.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The table %.% is append-only.', TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log.events
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();
CREATE TRIGGER contents_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log.contents
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();

-- Append the events of one or more commands, all of them or none.
--
-- streams ... causations: one element an event, in the order they are to have in the log. A command's events are
-- consecutive; a command is named by the place of its first event: 1, 2, 3 ...
-- check_commands ... check_versions: the streams that a command writes, or that its decision rests on, and the
-- version each is expected to have (0 = no events). A stream that is written may stand in one command only.
-- key_commands ... request_hashes: one element for each command that carries an idempotency key.
--
-- Returns the position before the first new event. If commands cannot be written, nothing is, and they are named:
-- those that expected another version (`stale`), those whose key was known (`repeated`, with the first position
-- of what it wrote then), and those whose key was known with another request (`reused`). The caller comes again
-- with the others: that costs a second call where it is rare, and every call less where it is not.
CREATE FUNCTION log.append(
    streams uuid[], versions bigint[], topics text[], states bytea[], owners uuid[],
    actors text[], correlations uuid[], causations bigint[],
    check_commands int[], check_streams uuid[], check_versions bigint[],
    key_commands int[], key_actors text[], keys text[], request_hashes bytea[],
    OUT base bigint, OUT stale int[], OUT repeated int[], OUT repeated_positions bigint[], OUT reused int[]
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now_at timestamptz;
    nothing text;  -- assigned, as PERFORM would go through the executor
BEGIN
    nothing := pg_advisory_xact_lock(7262431);  -- commit order is position order: one appender at a time

    SELECT e.notification_id, e.recorded_at INTO base, now_at
    FROM log.events AS e ORDER BY e.notification_id DESC LIMIT 1;
    base := coalesce(base, 0);
    now_at := greatest(clock_timestamp(), now_at);  -- a clock set back must not put an event before its cause

    -- LATERAL ... LIMIT 1 makes each of these one index lookup a row, whatever the planner believes of the table.
    IF cardinality(key_commands) > 0 THEN
        SELECT array_agg(k.command) FILTER (WHERE i.request_hash = k.request_hash),
               array_agg(i.position) FILTER (WHERE i.request_hash = k.request_hash),
               array_agg(k.command) FILTER (WHERE i.request_hash <> k.request_hash)
        INTO repeated, repeated_positions, reused
        FROM unnest(key_commands, key_actors, keys, request_hashes) AS k (command, actor, key, request_hash)
        CROSS JOIN LATERAL (
            SELECT known.request_hash, known.position FROM log.idempotency AS known
            WHERE known.actor = k.actor AND known.key = k.key LIMIT 1
        ) AS i;
    END IF;

    SELECT array_agg(c.command) INTO stale
    FROM unnest(check_commands, check_streams, check_versions) AS c (command, stream, version)
    LEFT JOIN LATERAL (
        SELECT e.originator_version AS version FROM log.events AS e
        WHERE e.originator_id = c.stream ORDER BY e.originator_version DESC LIMIT 1
    ) AS newest ON true
    WHERE coalesce(newest.version, least(c.version, 0)) <> c.version;

    IF stale IS NOT NULL OR repeated IS NOT NULL OR reused IS NOT NULL THEN
        RETURN;
    END IF;

    INSERT INTO log.events (
        originator_id, originator_version, topic, state, notification_id, recorded_at,
        owner, actor, correlation, causation
    )
    SELECT n.stream, n.version, n.topic, n.state, base + n.place, now_at,
        n.owner, n.actor, n.correlation, n.causation
    FROM unnest(
        streams, versions, topics, states, owners, actors, correlations, causations
    ) WITH ORDINALITY AS n (
        stream, version, topic, state, owner, actor, correlation, causation, place
    );

    IF cardinality(key_commands) > 0 THEN
        INSERT INTO log.idempotency (actor, key, request_hash, position, at)
        SELECT k.actor, k.key, k.request_hash, base + k.command, now_at
        FROM unnest(key_commands, key_actors, keys, request_hashes) AS k (command, actor, key, request_hash);
    END IF;

    nothing := pg_notify('log_events', '');
END $$;
