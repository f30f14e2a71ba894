-- Seals: a chain of hashes over the log, so that nobody can rewrite history unseen.

-- One row a commit. `digests` holds, for each of its events in order, the SHA-256 of record_send of the row of the
-- ten columns named below; `seal` is the SHA-256 of the seal before (32 zero bytes for the first) and `digests`.
CREATE TABLE log.seals (
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    sealed_at timestamptz NOT NULL,
    digests bytea NOT NULL,
    seal bytea NOT NULL,
    CONSTRAINT seals_pkey PRIMARY KEY (last_position)
);
ALTER TABLE log.seals ALTER COLUMN digests SET STORAGE EXTERNAL;
CREATE TRIGGER seals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log.seals
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();
GRANT SELECT ON log.seals TO comfyplus_app, comfyplus_project, comfyplus_dispatch, comfyplus_relay;

-- Seal what was written without log.append: the log of before there were seals. For the owner only.
CREATE FUNCTION log.seal_the_rest() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    base bigint;
    last bigint;
    newest timestamptz;
    previous bytea;
    digested bytea;
BEGIN
    LOCK TABLE log.events IN EXCLUSIVE MODE;
    SELECT s.last_position, s.seal INTO base, previous FROM log.seals AS s ORDER BY s.last_position DESC LIMIT 1;
    base := coalesce(base, 0);
    previous := coalesce(previous, decode(repeat('00', 32), 'hex'));
    LOOP
        SELECT max(e.notification_id), max(e.recorded_at), string_agg(sha256(record_send(ROW(
            e.originator_id, e.originator_version, e.topic, e.state, e.notification_id, e.recorded_at,
            e.owner, e.actor, e.correlation, e.causation))), '' ORDER BY e.notification_id)
        INTO last, newest, digested
        FROM log.events AS e WHERE e.notification_id > base AND e.notification_id <= base + 1000;
        EXIT WHEN last IS NULL;
        previous := sha256(previous || digested);
        INSERT INTO log.seals (first_position, last_position, sealed_at, digests, seal)
        VALUES (base + 1, last, newest, digested, previous);
        base := last;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION log.seal_the_rest FROM PUBLIC;
SELECT log.seal_the_rest();

DROP FUNCTION log.append;

-- Append the events of one or more commands, all of them or none.
--
-- streams ... causations: one element an event, in the order they are to have in the log. A command's events are
-- consecutive; a command is named by the place of its first event: 1, 2, 3 ...
-- check_commands ... check_versions: the streams that a command writes, or that its decision rests on, and the
-- version each is expected to have (0 = no events). A stream that is written may stand in one command only.
-- key_commands ... request_hashes: one element for each command that carries an idempotency key; no key twice.
--
-- Returns the position before the first new event. If commands cannot be written, nothing is, and they are named:
-- those that expected another version (`stale`), those whose key was known (`repeated`, with the first position
-- of what it wrote then), and those whose key was known with another request (`reused`). The caller comes again
-- with the others: that costs a second call where it is rare, and every call less where it is not.
--
-- The events of a call are sealed together. The newest seal also tells where the log ends.
CREATE FUNCTION log.append(
    streams uuid[], versions bigint[], topics text[], states bytea[], owners uuid[],
    actors text[], correlations uuid[], causations bigint[],
    check_commands int[], check_streams uuid[], check_versions bigint[],
    key_commands int[], keys uuid[], request_hashes bytea[],
    OUT base bigint, OUT stale int[], OUT repeated int[], OUT repeated_positions bigint[], OUT reused int[]
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now_at timestamptz;
    previous bytea;
    digested bytea;
    kept bigint := 0;
    nothing text;  -- assigned, as PERFORM would go through the executor
BEGIN
    nothing := pg_advisory_xact_lock(7262431);  -- commit order is position order: one appender at a time

    SELECT s.last_position, s.sealed_at, s.seal INTO base, now_at, previous
    FROM log.seals AS s ORDER BY s.last_position DESC LIMIT 1;
    base := coalesce(base, 0);
    now_at := greatest(clock_timestamp(), now_at);  -- a clock set back must not put an event before its cause

    -- LATERAL ... LIMIT 1 makes this one index lookup a row, whatever the planner believes of the table.
    SELECT array_agg(c.command) INTO stale
    FROM unnest(check_commands, check_streams, check_versions) AS c (command, stream, version)
    LEFT JOIN LATERAL (
        SELECT e.originator_version AS version FROM log.events AS e
        WHERE e.originator_id = c.stream ORDER BY e.originator_version DESC LIMIT 1
    ) AS newest ON true
    WHERE coalesce(newest.version, least(c.version, 0)) <> c.version;

    IF stale IS NULL AND cardinality(keys) > 0 THEN
        INSERT INTO log.idempotency (id, request_hash, position, at)
        SELECT k.id, k.request_hash, base + k.command, now_at
        FROM unnest(key_commands, keys, request_hashes) AS k (command, id, request_hash)
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS kept = ROW_COUNT;
    END IF;

    IF stale IS NULL AND kept = cardinality(keys) THEN
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
        SELECT string_agg(sha256(record_send(ROW(
            n.stream, n.version, n.topic, n.state, base + n.place, now_at,
            n.owner, n.actor, n.correlation, n.causation))), '')
        INTO digested
        FROM unnest(
            streams, versions, topics, states, owners, actors, correlations, causations
        ) WITH ORDINALITY AS n (
            stream, version, topic, state, owner, actor, correlation, causation, place
        );
        INSERT INTO log.seals (first_position, last_position, sealed_at, digests, seal)
        VALUES (base + 1, base + cardinality(streams), now_at, digested,
            sha256(coalesce(previous, decode(repeat('00', 32), 'hex')) || digested));
        nothing := pg_notify('log_events', '');
        RETURN;
    END IF;

    DELETE FROM log.idempotency WHERE id = ANY (keys) AND position > base;
    SELECT array_agg(k.command) FILTER (WHERE i.request_hash = k.request_hash),
           array_agg(i.position) FILTER (WHERE i.request_hash = k.request_hash),
           array_agg(k.command) FILTER (WHERE i.request_hash <> k.request_hash)
    INTO repeated, repeated_positions, reused
    FROM unnest(key_commands, keys, request_hashes) AS k (command, id, request_hash)
    CROSS JOIN LATERAL (
        SELECT known.request_hash, known.position FROM log.idempotency AS known WHERE known.id = k.id LIMIT 1
    ) AS i;
END $$;

REVOKE ALL ON FUNCTION log.append FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log.append TO comfyplus_app, comfyplus_dispatch;
