//! What the tables cost the database.

use embedded::testing::fresh_database;

use super::*;

/// More than fit in a page.
const PLACED: i32 = 100;
/// As many of a page as are pending at a time.
const DECIDED: i32 = 10;

#[tokio::test]
async fn an_order_stays_in_its_page_when_it_is_decided() {
    let database = fresh_database();
    let pool = db::connect(&database.url, 2, "orders").unwrap();
    prepare(&pool).await.unwrap();
    let place = "INSERT INTO orders (id, user_id, status, total_amount, currency, created_at, updated_at, version, asked, ask_again_at)
                 SELECT gen_random_uuid(), gen_random_uuid(), 'pending', 100, 'EUR', now(), now(), 1, 1, now()
                   FROM generate_series(1, $1)";
    let placed = sqlx::query(place).bind(PLACED).execute(&pool).await;
    placed.unwrap();
    let decide = "UPDATE orders SET status = 'confirmed', confirmed_at = now(), version = 2, ask_again_at = NULL
                   WHERE ctid = ANY (ARRAY(SELECT ctid FROM orders ORDER BY ctid LIMIT $1))
                  RETURNING (ctid::text::point)[0]::integer";
    let decided = sqlx::query_scalar(decide).bind(DECIDED).fetch_all(&pool);
    let pages: Vec<i32> = decided.await.unwrap();
    assert_eq!(pages, [0; DECIDED as usize]);
}
