-- Answers that were given under an Idempotency-Key, to be given again to whoever asks again.
--
-- A row is written in the transaction of the order that it answers for: there is no order without its
-- answer and no answer without its order, whatever is killed when. There is no state "running" in
-- here either: that is an advisory lock, which ends with its transaction, so a crash leaves nothing
-- that would block the key.

CREATE TABLE idempotency_keys (
    -- A key belongs to its user: nobody can read another's answer by guessing a key.
    user_id      uuid        NOT NULL,
    key          text        NOT NULL,
    -- SHA-256 of what was asked for: the same key with another wish is a mistake of the client.
    request_hash bytea       NOT NULL,
    -- What was answered, byte by byte.
    status_code  smallint    NOT NULL,
    body         bytea       NOT NULL,
    -- For the header Location.
    order_id     uuid        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key)
);

-- For the purge of old keys. BRIN: rows arrive in order of time, and this costs next to nothing on
-- insert.
CREATE INDEX idempotency_keys_created_at ON idempotency_keys USING brin (created_at);
