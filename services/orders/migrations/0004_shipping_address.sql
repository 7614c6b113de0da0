-- Where an order is sent to: name, street, postal_code, city and country. Null for orders that were placed without one: by
-- version 1 of the API, which cannot say it, or before there was a second.
--
-- One document instead of five columns: it is written once, read as a whole, and never searched by its parts.
ALTER TABLE orders ADD COLUMN shipping_address jsonb;
