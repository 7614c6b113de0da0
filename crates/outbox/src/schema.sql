-- A change of this file is a new TABLES_VERSION in schema.rs.
-- The tables of the transactional outbox and of the inbox. Safe to run again, and beside replicas of version 1. The inbox
-- comes first, as it does in the transactions of consumers: who runs this and they wait in a line and not in a circle.

-- `IF EXISTS` and `IF NOT EXISTS` are worth a notice to PostgreSQL.
SET LOCAL client_min_messages = warning;
-- Indexes of many rows, when a broker was away for long, take longer than a request may. But who writes waits behind this for as
-- long as this waits for a lock: so not for long, and it is tried again (schema.rs).
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = '1s';

-- Which events a consumer of this service has taken effect of: written in the effect's own
-- transaction, so that an event delivered twice is done once.
CREATE TABLE IF NOT EXISTS inbox (
    consumer    text        NOT NULL,
    event_id    uuid        NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);
-- For the purge. BRIN: rows arrive in order of time, and this costs next to nothing on insert.
CREATE INDEX IF NOT EXISTS inbox_received_at ON inbox USING brin (received_at);

-- Messages that a transaction has decided to send. No row is pending when all is well: a row waits for milliseconds, or for
-- as long as the broker is away, and is deleted when the broker has acknowledged it. Only what went to a topic of a broker that
-- forgets when it stops (`replay_window`) is marked instead, and stays for a while.
CREATE TABLE IF NOT EXISTS outbox (
    -- Order within an aggregate. The writers of one aggregate take turns on its row lock, so a smaller
    -- id of the same key has always committed first; across keys ids promise nothing.
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    -- A hash of the key (see lane.rs): the unit in which relays share the work. All rows of one
    -- aggregate are in one lane, and one relay at a time holds a lane.
    lane        smallint    NOT NULL,
    -- "topic:invoice-events", "queue:letters", "exchange:account.opened".
    destination text        NOT NULL,
    -- The aggregate's id: partition key, and the scope within which order is kept.
    key         text        NOT NULL,
    -- Those of an event in one text (headers.rs); others as [["ce_id", "…"], …], a list and not an object, since headers are
    -- ordered and may repeat. `outbox_headers` makes lists of both.
    headers     jsonb       NOT NULL,
    payload     bytea       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    -- When the broker acknowledged it; null while it is pending. The last column, since a change of a row logs all that is
    -- between the first and the last byte that differ.
    sent_at     timestamptz
);
ALTER TABLE outbox ADD COLUMN IF NOT EXISTS sent_at timestamptz;

-- Only pending rows are in the index: it stays small whatever is kept, and to mark a row writes to none. So there
-- is no primary key, which would be an index of all rows; ids are unique since nobody else gives them. And none of ids alone: each
-- row would have an entry more, and nobody asks for pending rows but by their lanes.
-- Which lanes have rows? And the rows of some lanes in order of id.
CREATE INDEX IF NOT EXISTS outbox_pending_lane_id ON outbox (lane, id) WHERE sent_at IS NULL;
-- What was kept for long enough? BRIN: rows are marked nearly in the order in which they were written.
CREATE INDEX IF NOT EXISTS outbox_sent_at ON outbox USING brin (sent_at);
ALTER TABLE outbox DROP CONSTRAINT IF EXISTS outbox_pkey;
DROP INDEX IF EXISTS outbox_lane_id, outbox_pending_id;

ALTER TABLE outbox SET (
    -- A marked row fits in its page, and the log has only what changed of it: not the message for a second time.
    fillfactor = 45,
    -- A hot table whose pending rows are few: vacuum by rows changed, not by share of the table.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000
);

-- Where a relay of version 1 keeps what it has sent. Relays of this version leave it empty: see replay.rs.
CREATE TABLE IF NOT EXISTS outbox_sent (
    id          bigint      PRIMARY KEY,
    lane        smallint    NOT NULL,
    destination text        NOT NULL,
    key         text        NOT NULL,
    headers     jsonb       NOT NULL,
    payload     bytea       NOT NULL,
    created_at  timestamptz NOT NULL,
    sent_at     timestamptz NOT NULL DEFAULT now()
);
