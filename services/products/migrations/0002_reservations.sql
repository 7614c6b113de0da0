-- The answer that each order got. One row an order, kept: a request that is repeated, however late,
-- is answered from here and decides nothing a second time.
CREATE TABLE reservations (
    order_id   uuid        PRIMARY KEY,
    -- reserved: all lines are set aside.  rejected: none is, for `reason`.
    -- released: the order was cancelled; also when that came before the order itself (a tombstone),
    -- which then reserves nothing.
    status     text        NOT NULL CHECK (status IN ('reserved', 'rejected', 'released')),
    reason     text        CHECK ((reason IS NOT NULL) = (status = 'rejected')),
    -- Counts the events sent about this order, under the lock of this row: it is their `sequence`.
    -- 0 for a tombstone, about which nobody was told.
    version    bigint      NOT NULL CHECK (version >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- What is set aside for an order: what has to go back when it is cancelled. The rows stay after that;
-- whether they count is said by the reservation's status, once.
CREATE TABLE reservation_lines (
    order_id   uuid   NOT NULL REFERENCES reservations,
    product_id uuid   NOT NULL REFERENCES products,
    quantity   bigint NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, product_id)
);
