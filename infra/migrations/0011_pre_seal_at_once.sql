-- Seal the events of a call in the statement that writes them, for about two thirds of what sealing cost before.

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
CREATE OR REPLACE FUNCTION log.append(
    streams uuid[], versions bigint[], topics text[], states bytea[], owners uuid[],
    actors text[], correlations uuid[], causations bigint[],
    check_commands int[], check_streams uuid[], check_versions bigint[],
    key_commands int[], keys uuid[], request_hashes bytea[],
    OUT base bigint, OUT stale int[], OUT repeated int[], OUT repeated_positions bigint[], OUT reused int[]
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now_at timestamptz;
    previous bytea;
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
        -- One statement: to go through the rows again for their digests would cost more than hashing does.
        -- What an INSERT returns comes in the order of what was put in.
        WITH written AS (
            INSERT INTO log.events AS e (
                originator_id, originator_version, topic, state, notification_id, recorded_at,
                owner, actor, correlation, causation
            )
            SELECT n.stream, n.version, n.topic, n.state, base + n.place, now_at,
                n.owner, n.actor, n.correlation, n.causation
            FROM unnest(
                streams, versions, topics, states, owners, actors, correlations, causations
            ) WITH ORDINALITY AS n (
                stream, version, topic, state, owner, actor, correlation, causation, place
            )
            RETURNING sha256(record_send(ROW(
                e.originator_id, e.originator_version, e.topic, e.state, e.notification_id, e.recorded_at,
                e.owner, e.actor, e.correlation, e.causation))) AS digest
        ), digested AS (
            SELECT string_agg(w.digest, '') AS digests FROM written AS w
        )
        INSERT INTO log.seals (first_position, last_position, sealed_at, digests, seal)
        SELECT base + 1, base + cardinality(streams), now_at, d.digests,
            sha256(coalesce(previous, decode(repeat('00', 32), 'hex')) || d.digests)
        FROM digested AS d;
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
