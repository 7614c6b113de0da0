-- The PostgreSQL work queue. Every statement can run again: it changes nothing that is there.

-- Queues that were declared. A message for any other name is refused, so a typo is an error and not
-- a table that fills for ever.
CREATE TABLE IF NOT EXISTS mq_queue (
    name        text        PRIMARY KEY,
    declared_at timestamptz NOT NULL DEFAULT now()
);

-- Fanout: what is published to `exchange` is copied to each bound queue.
CREATE TABLE IF NOT EXISTS mq_binding (
    exchange text NOT NULL,
    queue    text NOT NULL REFERENCES mq_queue (name) ON DELETE CASCADE,
    PRIMARY KEY (exchange, queue)
);

-- One row for each message of each queue; it is deleted when its consumer is done.
CREATE TABLE IF NOT EXISTS mq_message (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- No foreign key: it would lock the queue's row for each message. Publishing joins it instead.
    queue       text        NOT NULL,
    key         text,
    -- [[name, value], ...]: an array, since names may repeat and their order is kept.
    headers     jsonb       NOT NULL,
    payload     bytea       NOT NULL,
    enqueued_at timestamptz NOT NULL DEFAULT now(),
    -- How often it was handed to a consumer.
    attempts    integer     NOT NULL DEFAULT 0,
    -- Nobody may claim it before: a delay, or the lease of the consumer that works on it. A consumer
    -- that dies does nothing about it, and that is enough.
    visible_at  timestamptz NOT NULL DEFAULT now(),
    -- Who holds it: a new id for each claim. What a consumer does to a message, it does under its
    -- own lease, so one that lost the message cannot touch it any more.
    lease       uuid
);

-- The claim reads the first due messages of a queue.
CREATE INDEX IF NOT EXISTS mq_message_due ON mq_message (queue, visible_at, id);

ALTER TABLE mq_message SET (
    -- A claimed row fits in its page, and the log has only what changed of it: not the message for a second time.
    fillfactor = 45,
    -- Rows live for milliseconds: the default of cleaning up after a fifth of the table is too late.
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

-- What consumers do again and again. As functions, for their settings, which end with the statement that calls them:
-- Plans are made when the queue is empty, or nearly, and kept: by an index and in its order, whatever statistics say. A bitmap of it
-- holds all messages that have gone since it was cleaned up; an index scan marks those as dead on its way, once.
-- And who calls does not wait for the disk. A claim or an acknowledgement that is lost with the server delivers the message again,
-- which at-least-once allows; it is not lost.
CREATE OR REPLACE FUNCTION mq_claim(of_queue text, rows_max bigint, new_lease uuid, hidden_seconds double precision)
RETURNS TABLE (id bigint, attempts integer, key text, headers jsonb, payload bytea, age double precision)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true), set_config('enable_seqscan', 'off', true),
        set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true), set_config('jit', 'off', true);
    -- ARRAY: a subquery that is run once. As a join the planner might run it more than once, and lock more rows than it was
    -- asked for.
    RETURN QUERY
    UPDATE mq_message AS m
       SET attempts = m.attempts + 1, lease = new_lease, visible_at = now() + make_interval(secs => hidden_seconds)
     WHERE m.ctid = ANY (ARRAY(
               SELECT due.ctid FROM mq_message AS due
                WHERE due.queue = of_queue AND due.visible_at <= now()
                ORDER BY due.visible_at, due.id
                LIMIT rows_max
                FOR UPDATE SKIP LOCKED))
    RETURNING m.id, m.attempts, m.key, m.headers, m.payload,
        extract(epoch FROM clock_timestamp() - m.enqueued_at)::float8;
END $$;

-- Deletes handled messages, and returns those whose lease was still theirs.
CREATE OR REPLACE FUNCTION mq_acknowledge(of_ids bigint[], of_leases uuid[]) RETURNS SETOF bigint
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true), set_config('enable_seqscan', 'off', true),
        set_config('enable_bitmapscan', 'off', true), set_config('jit', 'off', true),
        set_config('plan_cache_mode', 'force_generic_plan', true);
    -- The lease again: that of a row that somebody else has claimed meanwhile is another. LIMIT: looked up one by one.
    RETURN QUERY
    DELETE FROM mq_message AS m
     WHERE m.lease = ANY (of_leases) AND m.ctid = ANY (ARRAY(
               SELECT held.ctid FROM unnest(of_ids, of_leases) AS done (id, lease)
               CROSS JOIN LATERAL (SELECT mq_message.ctid FROM mq_message
                                    WHERE mq_message.id = done.id AND mq_message.lease = done.lease LIMIT 1) AS held))
    RETURNING m.id;
END $$;
