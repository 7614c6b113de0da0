-- Orders and what is in them. A good place to start reading: the rest of the service moves rows of
-- these two tables, and tells others about it through the tables `outbox` and `inbox`, which the
-- crate `outbox` creates beside them.

CREATE TABLE orders (
    -- UUID v7, made by the service: it sorts by time, so new rows go to the right edge of the index,
    -- and the list of a customer's orders needs no second column to sort by.
    id           uuid        PRIMARY KEY,
    -- No foreign key: users live in another service's database.
    user_id      uuid        NOT NULL,
    -- Text and a check instead of an enum type: a value is added by one statement in a transaction,
    -- and removed as easily.
    status       text        NOT NULL CHECK (status IN ('pending', 'confirmed', 'rejected', 'cancelled')),
    -- Why it was rejected, in words for the customer.
    reason       text,
    -- Whole minor units (cents): no rounding. Never changes after the insert, as prices do not either.
    total_amount bigint      NOT NULL CHECK (total_amount >= 0),
    -- ISO 4217.
    currency     text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    created_at   timestamptz NOT NULL,
    -- When the status changed last.
    updated_at   timestamptz NOT NULL,
    -- When stock was reserved: the window for cancelling counts from here.
    confirmed_at timestamptz,
    -- Counted up under the row's lock with each event; the event carries it as its sequence.
    version      bigint      NOT NULL CHECK (version >= 1),
    -- The saga: how often stock was asked for, and when to ask again if no answer comes.
    asked        integer     NOT NULL CHECK (asked >= 1),
    ask_again_at timestamptz,

    CHECK ((status = 'rejected') = (reason IS NOT NULL)),
    CHECK ((status = 'pending') = (ask_again_at IS NOT NULL))
);

-- "The orders of this customer, newest first, after this one": one range of this index, a page long.
CREATE INDEX orders_user_id_id ON orders (user_id, id DESC);

-- "Which pending orders have waited too long?" Only pending orders are in it, so however many orders
-- there are, it stays as small as the work that is open.
CREATE INDEX orders_ask_again_at ON orders (ask_again_at) WHERE ask_again_at IS NOT NULL;

CREATE TABLE order_lines (
    order_id   uuid     NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    -- The order in which the customer named the products, from 1.
    position   smallint NOT NULL,
    -- No foreign key: products live in another service's database.
    product_id uuid     NOT NULL,
    quantity   integer  NOT NULL CHECK (quantity BETWEEN 1 AND 1000),
    -- The price when the order was placed; the catalogue's may change afterwards.
    unit_price bigint   NOT NULL CHECK (unit_price >= 0),
    PRIMARY KEY (order_id, position)
);
