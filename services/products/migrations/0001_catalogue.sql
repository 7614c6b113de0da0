-- What is for sale, and what is left of it.
CREATE TABLE products (
    id          uuid   PRIMARY KEY,
    name        text   NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    description text   NOT NULL CHECK (char_length(description) <= 2000),
    -- One piece, in the currency's minor unit (cents). An integer: money is counted, not measured.
    price       bigint NOT NULL CHECK (price > 0),
    currency    text   NOT NULL DEFAULT 'EUR' CHECK (currency = 'EUR'),
    -- Pieces that can still be bought: what is reserved is already taken off. One number instead of
    -- stock and a sum over reservations, so that deciding about an order reads only the rows that it
    -- locks anyway. The CHECK is the last line of defence: the code decides before it takes.
    available   bigint NOT NULL CHECK (available >= 0)
);

-- No index serves ?q=: a substring search reads the whole table, which is right for a catalogue that
-- fits in a few pages. At tens of thousands of goods, pg_trgm with a GIN index over name and
-- description serves the same statement; it is an extension that not every installation has.
