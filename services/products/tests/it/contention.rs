//! Goods that everybody wants: transactions hold several of them at a time, and wait for each other in lines only.

use contracts::events::OrderPlaced;
use envelope::Event;
use uuid::Uuid;

use crate::app::TestApp;
use crate::broker::{What, cancelled, placed};
use crate::goods::SORTS;

const ORDERS: usize = 2_000;
const LINES: usize = 6;
/// More than all orders want.
const PIECES: i64 = 100_000;
/// Every third order is taken back, when so many more were placed: cancellations stand among orders in each batch.
const TAKEN_BACK_AFTER: usize = 20;

/// Some of the goods, in an order of its own: neighbours share some and name them the other way around.
fn order(n: usize, goods: &[Uuid]) -> Event<OrderPlaced> {
    // 5 and 19 share no divisor with 24, so no product comes twice.
    let step = if n.is_multiple_of(2) { 5 } else { 19 };
    let lines: Vec<_> = (0..LINES)
        .map(|line| (goods[(n * 7 + line * step) % SORTS], 1))
        .collect();
    placed(Uuid::now_v7(), &lines)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn transactions_that_hold_several_goods_do_not_deadlock() {
    let mut app = TestApp::with_partitions(12).await;
    let goods: Vec<Uuid> = sqlx::query_scalar("UPDATE products SET available = $1 RETURNING id")
        .bind(PIECES)
        .fetch_all(&app.db)
        .await
        .unwrap();
    assert_eq!(goods.len(), SORTS);
    // Behind a lock, so that all partitions have a backlog and take large batches.
    let hold = app.hold("SELECT FROM products FOR UPDATE").await;
    let mut orders = Vec::with_capacity(ORDERS);
    for n in 0..ORDERS {
        let order = order(n, &goods);
        app.broker.publish(&order).await;
        orders.push(order.data.order_id);
        if n % 3 == 0 && n >= TAKEN_BACK_AFTER {
            let taken_back = orders[n - TAKEN_BACK_AFTER];
            app.broker.publish(&cancelled(taken_back)).await;
        }
    }
    hold.rollback().await.unwrap();
    for (n, order) in orders.iter().enumerate() {
        let then = n + TAKEN_BACK_AFTER;
        let is_taken_back = then.is_multiple_of(3) && then < ORDERS;
        let last = match is_taken_back {
            true => What::Released,
            false => What::Reserved,
        };
        app.broker.answers_until(*order, last).await;
    }

    assert_eq!(app.deadlocks().await, 0);
    assert!(app.broker.dead_letters(0).await.is_empty());
    let (sold, left) = app.books().await;
    assert_eq!(sold + left, PIECES * SORTS as i64);
}
