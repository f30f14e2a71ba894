-- Appenders bring the digests of their events, a seal covers them and the time, and what is new is looked up least.
-- Reasons and figures: docs/decisions/0018-appenders-hash.md

-- `form` says what a seal of the chain covers.
-- 1: each digest is the SHA-256 of record_send of an event's row of ten columns; the seal is the SHA-256 of the seal
--    before (32 zero bytes for the first) and `digests`.
-- 2: each digest is the SHA-256 of record_send of what the appender says of an event: originator_id,
--    originator_version, topic, state, owner, actor, correlation, causation. Its position is its place in the chain,
--    its time the seal's: the seal is the SHA-256 of the seal before, timestamptz_send(sealed_at) and `digests`.
ALTER TABLE log.seals ADD COLUMN form smallint NOT NULL DEFAULT 1;

DROP FUNCTION log.append;

-- Append the events of one or more commands, all of them or none.
--
-- streams ... causations: one element an event, in the order they are to have in the log. A command's events are
-- consecutive; a command is named by the place of its first event: 1, 2, 3 ...
-- check_commands ... check_versions: the streams that a command writes, or that its decision rests on, and the
-- version each is expected to have (0 = no events). A stream that is written may stand in one command only. One that
-- begins with this call needs no check: nobody can begin it again.
-- key_commands ... request_hashes: one element for each command that carries an idempotency key; no key twice.
-- digests: those of the events as `log.seals` has them, one behind the other. NULL: they are made here.
--
-- Returns the position before the first new event. If commands cannot be written, nothing is, and they are named:
-- those that expected another version (`stale`; by any of their events), those whose key was known (`repeated`, with
-- the first position of what it wrote then), and those whose key was known with another request (`reused`). The
-- caller comes again with the others: that costs a second call where it is rare, and every call less where it is not.
--
-- The events of a call are sealed together. The newest seal also tells where the log ends.
CREATE FUNCTION log.append(
    streams uuid[], versions bigint[], topics text[], states bytea[], owners uuid[],
    actors text[], correlations uuid[], causations bigint[],
    check_commands int[], check_streams uuid[], check_versions bigint[],
    key_commands int[], keys uuid[], request_hashes bytea[], digests bytea DEFAULT NULL,
    OUT base bigint, OUT stale int[], OUT repeated int[], OUT repeated_positions bigint[], OUT reused int[]
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now_at timestamptz;
    previous bytea;
    begun int[];
    nothing text;  -- assigned, as PERFORM would go through the executor
BEGIN
    nothing := pg_advisory_xact_lock(7262431);  -- commit order is position order: one appender at a time

    SELECT s.last_position, s.sealed_at, s.seal INTO base, now_at, previous
    FROM log.seals AS s ORDER BY s.last_position DESC LIMIT 1;
    base := coalesce(base, 0);
    now_at := greatest(clock_timestamp(), now_at);  -- a clock set back must not put an event before its cause

    IF cardinality(check_commands) > 0 THEN
        -- LATERAL ... LIMIT 1 makes this one index lookup a row, whatever the planner believes of the table.
        SELECT array_agg(c.command) INTO stale
        FROM unnest(check_commands, check_streams, check_versions) AS c (command, stream, version)
        LEFT JOIN LATERAL (
            SELECT e.originator_version AS version FROM log.events AS e
            WHERE e.originator_id = c.stream ORDER BY e.originator_version DESC LIMIT 1
        ) AS newest ON true
        WHERE coalesce(newest.version, least(c.version, 0)) <> c.version;
    END IF;

    IF digests IS NULL THEN
        SELECT string_agg(sha256(record_send(ROW(
            n.stream, n.version, n.topic, n.state, n.owner, n.actor, n.correlation, n.causation))), '' ORDER BY n.place)
        INTO digests
        FROM unnest(
            streams, versions, topics, states, owners, actors, correlations, causations
        ) WITH ORDINALITY AS n (
            stream, version, topic, state, owner, actor, correlation, causation, place
        );
    ELSIF octet_length(digests) <> 32 * cardinality(streams) THEN
        RAISE EXCEPTION 'There must be a digest for each event.' USING ERRCODE = 'data_exception';
    END IF;

    IF stale IS NULL THEN
        BEGIN
            -- Keys come first, as PostgreSQL begins with what stands last: one that is known costs no events that are
            -- undone again. unnest in SELECT keeps no copy of its rows, as it would in FROM; all of them go in step.
            WITH written AS (
                INSERT INTO log.events (
                    originator_id, originator_version, topic, state, notification_id, recorded_at,
                    owner, actor, correlation, causation
                )
                SELECT unnest(streams), unnest(versions), unnest(topics), unnest(states),
                    base + generate_subscripts(streams, 1), now_at,
                    unnest(owners), unnest(actors), unnest(correlations), unnest(causations)
            ), sealed AS (
                INSERT INTO log.seals (first_position, last_position, sealed_at, digests, seal, form)
                VALUES (base + 1, base + cardinality(streams), now_at, digests, sha256(
                    coalesce(previous, decode(repeat('00', 32), 'hex')) || timestamptz_send(now_at) || digests), 2)
            )
            INSERT INTO log.idempotency (id, request_hash, position, at)
            SELECT unnest(keys), unnest(request_hashes), base + unnest(key_commands), now_at;
            nothing := pg_notify('log_events', '');
            RETURN;
        EXCEPTION WHEN unique_violation THEN
            nothing := NULL;  -- a key or a stream was there already: which, is asked only now
        END;
    END IF;

    SELECT array_agg(n.place) INTO begun
    FROM unnest(streams, versions) WITH ORDINALITY AS n (stream, version, place)
    WHERE EXISTS (
        SELECT FROM log.events AS e WHERE e.originator_id = n.stream AND e.originator_version = n.version
    );
    stale := nullif(coalesce(stale, '{}') || coalesce(begun, '{}'), '{}');
    SELECT array_agg(k.command) FILTER (WHERE i.request_hash = k.request_hash),
           array_agg(i.position) FILTER (WHERE i.request_hash = k.request_hash),
           array_agg(k.command) FILTER (WHERE i.request_hash <> k.request_hash)
    INTO repeated, repeated_positions, reused
    FROM unnest(key_commands, keys, request_hashes) AS k (command, id, request_hash)
    CROSS JOIN LATERAL (
        SELECT known.request_hash, known.position FROM log.idempotency AS known WHERE known.id = k.id LIMIT 1
    ) AS i;
    IF stale IS NULL AND repeated IS NULL AND reused IS NULL THEN
        RAISE unique_violation USING MESSAGE = 'The call contradicts itself, or the log does not end with its newest seal.';
    END IF;
END $$;

REVOKE ALL ON FUNCTION log.append FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log.append TO comfyplus_app, comfyplus_dispatch;
