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
