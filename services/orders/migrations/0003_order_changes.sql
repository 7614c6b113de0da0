-- The history of statuses: what `GET /v1/orders/{id}/events` reads, from the beginning or from where a reader stopped.
--
-- A trigger writes it, in the transaction of the change and without a statement more: no use case can forget it, nor can
-- the version before this one, which still writes while the new one is rolled out.

CREATE TABLE order_changes (
    -- No foreign key: orders are never deleted, and the check would lock the order's row for each change.
    order_id   uuid        NOT NULL,
    -- The order's version when it changed, as its event carries it. Stock that is asked for again counts a version up and
    -- is no change of the status, so there can be gaps. Changes of one order are committed in this order, since each of
    -- them holds the order's row lock: whoever reads what is above the last that it saw misses nothing.
    sequence   bigint      NOT NULL CHECK (sequence >= 1),
    status     text        NOT NULL,
    reason     text,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (order_id, sequence)
);

CREATE FUNCTION note_order_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO order_changes (order_id, sequence, status, reason, changed_at)
    VALUES (NEW.id, NEW.version, NEW.status, NEW.reason, NEW.updated_at);
    RETURN NULL;
END
$$;

-- From here to the end of this transaction nobody else writes orders, so the trigger and what follows leave no gap.
CREATE TRIGGER order_placed AFTER INSERT ON orders
    FOR EACH ROW EXECUTE FUNCTION note_order_change();
CREATE TRIGGER order_changed AFTER UPDATE OF status ON orders
    FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION note_order_change();

-- Orders that were there before. Their rows say it all: each was pending from version 1 on; what is confirmed, rejected or
-- cancelled got there by its last version; and only a confirmed order has one more step to take.
INSERT INTO order_changes (order_id, sequence, status, changed_at)
SELECT id, 1, 'pending', created_at FROM orders
 UNION ALL
SELECT id, CASE status WHEN 'confirmed' THEN version ELSE version - 1 END, 'confirmed', confirmed_at
  FROM orders WHERE confirmed_at IS NOT NULL;

INSERT INTO order_changes (order_id, sequence, status, reason, changed_at)
SELECT id, version, status, reason, updated_at FROM orders WHERE status IN ('rejected', 'cancelled');
