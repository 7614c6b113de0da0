-- A mail is claimed and then sent: two versions of a row. Where the second fits in the page of the first, no index is written,
-- and the log has only what changed. The rest of a page is for the rows that are claimed and not sent yet; pages that are full
-- already stay as they are.
ALTER TABLE deliveries SET (fillfactor = 70);
