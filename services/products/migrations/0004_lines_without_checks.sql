-- A line of a reservation is written by the statement that writes its reservation, for a product whose stock the same
-- transaction has decided about. To check both again cost two look-ups and two row locks a line, one of them on the row of
-- a product that everybody wants. Neither reservations nor products are deleted by this service.
--
-- In the order in which transactions use them, so that they and this wait in a line and not in a circle.
LOCK TABLE reservations, products, reservation_lines IN ACCESS EXCLUSIVE MODE;
ALTER TABLE reservation_lines
    DROP CONSTRAINT reservation_lines_order_id_fkey,
    DROP CONSTRAINT reservation_lines_product_id_fkey;
