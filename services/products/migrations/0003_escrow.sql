-- Pieces that were drawn from the shelf ahead of demand, so that transactions that sell the same product
-- need not wait for each other: each has a lane for itself while it runs, and sells from that lane's rows
-- (ADR 39). products.available is the shelf since then, and is no longer all that is for sale.
CREATE TABLE escrow (
    product_id uuid     NOT NULL REFERENCES products,
    -- A transaction has a lane by an advisory lock. Only it changes the rows of its lane, and whoever
    -- gathers all escrows of a product, with the product's own row locked.
    lane       smallint NOT NULL,
    available  bigint   NOT NULL CHECK (available >= 0),
    PRIMARY KEY (product_id, lane)
-- Orders change rows here, and insert few: half of a page is for the next versions of its rows.
) WITH (fillfactor = 50);

-- The goods as everybody sees them: `available` is the shelf and all escrows. One statement reads both at
-- one moment, so a piece on its way from one to the other is counted once.
CREATE VIEW catalogue AS
SELECT id, name, description, price, currency,
       available + coalesce(
           (SELECT sum(escrow.available) FROM escrow WHERE escrow.product_id = products.id), 0
       )::bigint AS available
FROM products;
