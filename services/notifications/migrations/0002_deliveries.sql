-- The delivery log: one row for each mail, whatever becomes of it.
--
-- A queue delivers a job at least once, a mail server accepts a mail as often as it is handed over. This
-- table stands between them: a worker claims the job here before it talks to the mail server, and records
-- the server's yes here afterwards.
CREATE TABLE deliveries (
    -- The id of the job's event, and the left half of the mail's Message-ID.
    job_id        uuid        PRIMARY KEY,
    user_id       uuid        NOT NULL,
    -- The order that the mail is about, if it is about one.
    order_id      uuid,
    template      text        NOT NULL,
    -- The address that it was last tried with.
    recipient     text        NOT NULL,
    state         text        NOT NULL CHECK (state IN ('claimed', 'sent')),
    -- Which attempt holds the job; the worker extends the claim while it sends. A claim that ran out
    -- belongs to a worker that died or gave up: anybody may take the job over. A lease and not a lock: a
    -- lock would keep a connection in a transaction for as long as the mail server takes.
    claim         uuid        NOT NULL,
    claimed_until timestamptz NOT NULL,
    attempts      integer     NOT NULL,
    last_error    text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    sent_at       timestamptz,
    CHECK ((state = 'sent') = (sent_at IS NOT NULL))
);

-- "What did we send about this order?", the question that support asks.
CREATE INDEX deliveries_order_id ON deliveries (order_id) WHERE order_id IS NOT NULL;
-- For forgetting what is old. BRIN: rows arrive in order of time.
CREATE INDEX deliveries_created_at ON deliveries USING brin (created_at);
