-- An order is placed and then decided about: two versions of a row. Where the second fits in the page of the first, the log has
-- only what changed of it, and one page less is changed. The rest of a page is for the orders that are still pending; pages
-- that are full already stay as they are.
ALTER TABLE orders SET (fillfactor = 70);
