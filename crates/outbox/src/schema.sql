-- A change of this file is a new TABLES_VERSION in schema.rs.
-- The tables of the transactional outbox and of the inbox. Safe to run again.

-- Messages that a transaction has decided to send and that no broker has acknowledged yet.
-- Empty when all is well: a row lives for milliseconds, or for as long as the broker is away.
CREATE TABLE IF NOT EXISTS outbox (
    -- Order within an aggregate. The writers of one aggregate take turns on its row lock, so a smaller
    -- id of the same key has always committed first; across keys ids promise nothing.
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- A hash of the key (see lane.rs): the unit in which relays share the work. All rows of one
    -- aggregate are in one lane, and one relay at a time holds a lane.
    lane        smallint    NOT NULL,
    -- "topic:order-events", "queue:email.jobs", "exchange:user.created".
    destination text        NOT NULL,
    -- The aggregate's id: partition key, and the scope within which order is kept.
    key         text        NOT NULL,
    -- [["ce_id", "…"], …]: a list and not an object, since headers are ordered and may repeat.
    headers     jsonb       NOT NULL,
    payload     bytea       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- Which lanes have rows? And the rows of some lanes in order of id.
CREATE INDEX IF NOT EXISTS outbox_lane_id ON outbox (lane, id);

-- A hot table that is nearly always empty: vacuum by rows changed, not by share of the table.
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- What was acknowledged lately, kept only where the broker forgets when it stops (`replay_window`).
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
CREATE INDEX IF NOT EXISTS outbox_sent_sent_at ON outbox_sent USING brin (sent_at);

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
