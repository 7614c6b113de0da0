-- What orders does for one accepted order, as pgbench's own transaction: the same statement. The lane is one that no relay looks at, so that nothing else works on the same rows meanwhile.
-- USER_ID and PRODUCT_ID are put in by `pgbench.rs`; headers and payload are as large as real ones.
WITH new_order AS (
         INSERT INTO orders (id, user_id, status, total_amount, currency, created_at, updated_at,
                             version, asked, ask_again_at)
         SELECT gen_random_uuid(), 'USER_ID'::uuid, 'pending', 4900, 'EUR', now(), now(), 1, 1,
                now() + interval '1 day'
         RETURNING id),
     new_lines AS (
         INSERT INTO order_lines (order_id, position, product_id, quantity, unit_price)
         SELECT new_order.id, line.position, line.product_id, line.quantity, line.unit_price
           FROM new_order,
                unnest(ARRAY['PRODUCT_ID'::uuid], ARRAY[1], ARRAY[4900::bigint]) WITH ORDINALITY
                  AS line (product_id, quantity, unit_price, position))
SELECT outbox_tell(ARRAY[1000::smallint], ARRAY['nowhere'], ARRAY['pgbench'],
                   ARRAY[to_jsonb(repeat('x', 220))],
                   ARRAY[convert_to(repeat('x', 260), 'UTF8')])
  FROM new_order;
