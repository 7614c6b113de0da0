//! A consumer that is behind decides about many orders in one transaction, as it would one by one.

use uuid::Uuid;

use crate::app::TestApp;
use crate::broker::{What, cancelled, placed};
use crate::goods::{KETTLE, PAN};

#[tokio::test(flavor = "multi_thread")]
async fn one_transaction_decides_like_many() {
    let app = TestApp::with_partitions(1).await;
    app.stock(PAN, 10).await;
    // While the first order waits for the lock, the others pile up behind it.
    let hold = app.hold("SELECT FROM products FOR UPDATE").await;
    let first = app.broker.place(&[(KETTLE, 1)]).await;
    app.until_held_in("FOR NO KEY UPDATE").await;

    let reserved = app.broker.place(&[(PAN, 6)]).await;
    let short = app.broker.place(&[(PAN, 3), (KETTLE, 1), (PAN, 2)]).await;
    app.broker.publish(&cancelled(reserved)).await;
    let after = placed(Uuid::now_v7(), &[(PAN, 6)]);
    app.broker.publish(&after).await;
    app.broker.publish(&after).await;
    let after = after.data.order_id;
    app.broker.publish(&placed(after, &[(PAN, 6)])).await;
    let early = Uuid::now_v7();
    app.broker.publish(&cancelled(early)).await;
    app.broker.publish(&placed(early, &[(PAN, 1)])).await;
    let last = app.broker.place(&[(PAN, 4)]).await;
    hold.rollback().await.unwrap();

    assert_eq!(app.broker.answer(first).await, What::Reserved);
    let whats = async |order, count| -> Vec<_> {
        let answers = app.broker.answers(order, count).await;
        let sequences: Vec<_> = answers.iter().map(|a| a.event.sequence.unwrap()).collect();
        assert_eq!(sequences, (1..=count as u64).collect::<Vec<_>>());
        answers.into_iter().map(|answer| answer.what).collect()
    };
    let rejected = |reason: &str| What::Rejected(reason.to_owned());
    assert_eq!(whats(last, 1).await, [What::Reserved]);
    assert_eq!(whats(reserved, 2).await, [What::Reserved, What::Released]);
    assert_eq!(
        whats(short, 1).await,
        [rejected("only 4 of Cast-Iron Pan, 26 cm left")]
    );
    assert_eq!(whats(after, 2).await, [What::Reserved, What::Reserved]);
    assert_eq!(whats(early, 1).await, [rejected("the order was cancelled")]);
    assert_eq!(app.available(PAN).await, 0);
    assert_eq!(app.available(KETTLE).await, 239);

    // `now()` is the transaction's: fewer of them than events, so some went together.
    let (events, transactions): (i64, i64) =
        sqlx::query_as("SELECT count(*), count(DISTINCT received_at) FROM inbox")
            .fetch_one(&app.db)
            .await
            .unwrap();
    assert_eq!(events, 9);
    assert!(transactions < events, "{transactions}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_read_does_not_take_its_batch_with_it() {
    let app = TestApp::with_partitions(1).await;
    let hold = app.hold("SELECT FROM products FOR UPDATE").await;
    app.broker.place(&[(KETTLE, 1)]).await;
    app.until_held_in("FOR NO KEY UPDATE").await;
    let before = app.broker.place(&[(PAN, 1)]).await;
    app.broker.publish(&placed(Uuid::now_v7(), &[])).await;
    let behind = app.broker.place(&[(PAN, 1)]).await;
    hold.rollback().await.unwrap();
    assert_eq!(app.broker.answer(before).await, What::Reserved);
    assert_eq!(app.broker.answer(behind).await, What::Reserved);
    assert_eq!(app.broker.dead_letters(1).await.len(), 1);
    assert_eq!(app.available(PAN).await, 318);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_leaves_connections_for_those_who_ask() {
    let app = TestApp::with_partitions(12).await;
    let hold = app.hold("SELECT FROM products FOR UPDATE").await;
    // Some for each partition: none of them gets any further than to the lock, in a connection of its own.
    let mut orders = Vec::new();
    for _ in 0..100 {
        orders.push(app.broker.place(&[(KETTLE, 1)]).await);
    }
    app.until_held_in("FOR NO KEY UPDATE").await;
    for _ in 0..20 {
        let answer = app.get("/v1/products?page_size=1").await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    hold.rollback().await.unwrap();
    for order in orders {
        assert_eq!(app.broker.answer(order).await, What::Reserved);
    }
}
