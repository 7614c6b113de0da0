-- A change of this file is a new FUNCTION_VERSION in schema.rs.

-- What a statement calls that tells events by itself, in a transaction of its own: see `Outbox::tell_in`. In PL/pgSQL, since the
-- plan of its `INSERT` is kept for the connection. True, so that it can stand in a condition.
CREATE OR REPLACE FUNCTION outbox_tell(
    of_lanes smallint[], of_destinations text[], of_keys text[], of_headers jsonb[], of_payloads bytea[]
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    -- ORDER BY, so that ids are given in the order of the rows.
    INSERT INTO outbox (lane, destination, key, headers, payload)
    SELECT told.lane, told.destination, told.key, told.headers, told.payload
      FROM unnest(of_lanes, of_destinations, of_keys, of_headers, of_payloads) WITH ORDINALITY
             AS told (lane, destination, key, headers, payload, position)
     ORDER BY told.position;
    RETURN true;
END $$;

-- The first half of a pass (relay/pass.rs): locks those of some lanes that have rows and that nobody holds, and returns their oldest
-- rows, without the destinations and keys that are held back. `place` is where a row is in the table: nobody but the holder of its
-- lane writes to it, so it is there until the locks end. `found` is their number before the bytes were counted. A row
-- without an id says that another relay holds a lane that has rows. The locks end with the transaction.
--
-- Two statements, and they must be two. The second reads *in a later snapshot*, which sees everything that the lanes' last holder
-- did: a volatile function takes one for each of its statements. In one statement the rows would be those of the moment
-- before the lock was had: sent and deleted by somebody else in the meantime.
--
-- Headers are returned in the form that they are stored in.
CREATE OR REPLACE FUNCTION outbox_claim_as_stored(
    lock_class integer, of_lanes smallint[], held_destinations text[], destinations_of_keys text[], held_keys text[],
    rows_max bigint, bytes_max bigint
) RETURNS TABLE (id bigint, place text, destination text, key text, headers jsonb, payload bytea, found bigint)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    taken_lanes smallint[];
    is_contended boolean;
BEGIN
    -- For this transaction. A lost deletion sends an event again, which at-least-once allows: to wait for the disk at each pass
    -- would buy nothing. And plans are made when the table is small or nothing is pending, and kept: they must not read all of it
    -- when sent rows are kept (seqscan), nor all that is pending when a broker was away (bitmapscan and sort: the index of
    -- pending rows is read in its order and no further than needed, whatever the statistics say). The one sort that
    -- is needed all the same costs so much by now that its plan would be compiled each time (jit). Where rows are deleted and no
    -- statistics are left, a plan for the very lanes and numbers seems to pay, too, and would be made for each pass.
    PERFORM set_config('synchronous_commit', 'off', true), set_config('enable_seqscan', 'off', true),
        set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true), set_config('jit', 'off', true),
        set_config('plan_cache_mode', 'force_generic_plan', true);
    -- A relay whose host is gone without a word would hold its lanes until the operating system finds out, which takes hours. No pass
    -- is idle for so long. Who has set a limit keeps it.
    IF current_setting('idle_in_transaction_session_timeout') = '0' THEN
        PERFORM set_config('idle_in_transaction_session_timeout', '60s', true);
    END IF;

    -- Materialized: the lock must be tried once for each lane, and for no lane without rows. ORDER BY as below.
    WITH ready AS MATERIALIZED (
        SELECT asked.lane FROM unnest(of_lanes) AS asked (lane)
        CROSS JOIN LATERAL (SELECT FROM outbox
                            WHERE outbox.lane = asked.lane AND outbox.sent_at IS NULL
                            ORDER BY outbox.lane, outbox.id LIMIT 1) AS pending
    ), tried AS MATERIALIZED (
        SELECT ready.lane, pg_try_advisory_xact_lock(lock_class, ready.lane) AS is_taken FROM ready
    )
    SELECT array_agg(tried.lane) FILTER (WHERE tried.is_taken), bool_or(NOT tried.is_taken)
      INTO taken_lanes, is_contended FROM tried;

    IF taken_lanes IS NOT NULL THEN
        -- A prefix in the order of ids, so cutting it at a number of bytes cannot change that order.
        --
        -- The oldest of each lane by themselves, and of them the oldest: no more is read than a batch for each lane, however long the
        -- backlog is. For several lanes at once no index has the order of ids, so all that is pending would be read and sorted for
        -- each batch. Only the places are sorted, and not the messages.
        --
        -- NOT IN, which looks each row up in a hash table of the held keys. NOT EXISTS would be a join, which compares it with each of
        -- them: of long backlogs of hundreds of keys longer than a statement may take, with nothing sent at all.
        RETURN QUERY
        SELECT batch.id, batch.place::text, batch.destination, batch.key, batch.headers, batch.payload, batch.found FROM (
            SELECT oldest.id, oldest.place, pending.destination, pending.key, pending.headers, pending.payload,
                count(*) OVER () AS found,
                sum(size.bytes) OVER (ORDER BY oldest.id) - size.bytes AS bytes_before
            FROM (
                SELECT of_lane.id, of_lane.place FROM unnest(taken_lanes) AS taken (lane)
                CROSS JOIN LATERAL (
                    SELECT outbox.id, outbox.ctid AS place FROM outbox
                    WHERE outbox.lane = taken.lane AND outbox.sent_at IS NULL
                      AND outbox.destination <> ALL (held_destinations)
                      AND (outbox.destination, outbox.key) NOT IN (
                            SELECT held.destination, held.key
                              FROM unnest(destinations_of_keys, held_keys) AS held (destination, key))
                    ORDER BY outbox.lane, outbox.id LIMIT rows_max
                ) AS of_lane
                ORDER BY of_lane.id LIMIT rows_max
            ) AS oldest
            JOIN outbox AS pending ON pending.ctid = oldest.place
            -- The key twice: headers have it, too, and are stored without it.
            CROSS JOIN LATERAL (SELECT 2 * octet_length(pending.key) + octet_length(pending.payload)
                                       + pg_column_size(pending.headers) AS bytes) AS size
        ) AS batch
        WHERE batch.bytes_before < bytes_max ORDER BY batch.id;
    END IF;
    IF is_contended THEN
        RETURN QUERY SELECT NULL::bigint, NULL::text, NULL::text, NULL::text, NULL::jsonb, NULL::bytea, NULL::bigint;
    END IF;
END $$;

-- Whether some lanes have rows that wait: what a worker asks that nobody has woken. With the settings of a pass. Statistics of a moment
-- with a backlog make a plan look good that hopes to meet one of its rows early, and reads all that are kept. And the index of when
-- rows were sent knows ranges of pages only: by a bitmap of it each is read in which a row ever waited.
CREATE OR REPLACE FUNCTION outbox_has_rows(of_lanes smallint[]) RETURNS boolean LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM unnest(of_lanes) AS asked (lane)
        CROSS JOIN LATERAL (SELECT FROM outbox
                            WHERE outbox.lane = asked.lane AND outbox.sent_at IS NULL
                            ORDER BY outbox.lane, outbox.id LIMIT 1) AS pending);
END $$;

-- Headers as a list of names and values, whatever form they are stored in. The names and the usual values are those of headers.rs. A
-- text with another number of values is no list: who made one of it would send an event with headers that nobody has told.
CREATE OR REPLACE FUNCTION outbox_headers(stored jsonb, of_key text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN jsonb_typeof(stored) = 'string' AND cardinality(string_to_array(stored #>> '{}', '|')) = 14 THEN (
        SELECT jsonb_agg(jsonb_build_array(form.name,
                   CASE given.value WHEN '=' THEN coalesce(form.usual, of_key) ELSE given.value END) ORDER BY position)
          FROM unnest(ARRAY['content-type', 'ce_specversion', 'ce_id', 'ce_source', 'ce_type', 'ce_subject', 'ce_time',
                            'ce_correlationid', 'ce_causationid', 'ce_sequence', 'ce_logicalid', 'ce_twins',
                            'ce_traceparent', 'ce_tracestate'],
                      ARRAY['application/json', '1.0']) WITH ORDINALITY AS form (name, usual, position)
          JOIN unnest(string_to_array(stored #>> '{}', '|')) WITH ORDINALITY AS given (value, position) USING (position)
         WHERE given.value <> ''
    ) ELSE stored END
$$;

-- What relays of the version before call, which read lists only. Those of older versions call `outbox_take`, which returns other
-- columns: where it is, it stays.
CREATE OR REPLACE FUNCTION outbox_claim(
    lock_class integer, of_lanes smallint[], held_destinations text[], destinations_of_keys text[], held_keys text[],
    rows_max bigint, bytes_max bigint
) RETURNS TABLE (id bigint, place text, destination text, key text, headers jsonb, payload bytea, found bigint)
LANGUAGE sql VOLATILE AS $$
    SELECT claimed.id, claimed.place, claimed.destination, claimed.key, outbox_headers(claimed.headers, claimed.key),
           claimed.payload, claimed.found
      FROM outbox_claim_as_stored(
               lock_class, of_lanes, held_destinations, destinations_of_keys, held_keys, rows_max, bytes_max) AS claimed
$$;
