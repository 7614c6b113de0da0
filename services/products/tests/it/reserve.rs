//! An order is placed: all of its lines are set aside, or none.

use contracts::events::OrderConfirmed;
use envelope::{Event, TraceContext};
use futures::future::join_all;
use uuid::Uuid;

use crate::app::{TestApp, available};
use crate::broker::{What, placed};
use crate::goods::{BOARD, KETTLE, PAN, PRESS, RADIO};

#[tokio::test(flavor = "multi_thread")]
async fn all_lines_are_set_aside() {
    let app = TestApp::start().await;
    let order_id = Uuid::now_v7();
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let trace = TraceContext {
        traceparent: Some(traceparent.to_owned()),
        tracestate: None,
    };
    let event = placed(order_id, &[(PAN, 20), (KETTLE, 40)]).with_trace(trace);
    app.broker.publish(&event).await;

    let answer = app.broker.answers(order_id, 1).await.remove(0);
    assert_eq!(answer.what, What::Reserved);
    assert_eq!(
        (app.available(KETTLE).await, app.available(PAN).await),
        (200, 300)
    );
    let shown = app.get(&format!("/v1/products/{KETTLE}")).await.body;
    assert_eq!(shown["available"], 200);

    assert_eq!(answer.key, order_id.to_string());
    assert_eq!(answer.event.subject, order_id.to_string());
    assert_eq!(answer.event.event_type, "agora.stock.reserved.v1");
    assert_eq!(answer.event.correlation_id, order_id);
    assert_eq!(answer.event.causation_id, Some(event.id));
    assert_eq!(answer.event.sequence, Some(1));
    let trace = answer.event.trace.traceparent.expect("a trace");
    assert_eq!(trace[..35], traceparent[..35], "the same trace");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_order_leaves_stock_untouched() {
    let app = TestApp::start().await;
    let short = app.broker.place(&[(KETTLE, 1), (RADIO, 4), (PAN, 2)]).await;
    let reason = "only 3 of Restored Valve Radio left".to_owned();
    assert_eq!(app.broker.answer(short).await, What::Rejected(reason));
    assert_eq!(app.available(KETTLE).await, 240);
    assert_eq!(app.available(PAN).await, 320);
    assert_eq!(app.available(RADIO).await, 3);

    let unknown = app.broker.place(&[(KETTLE, 1), (Uuid::nil(), 1)]).await;
    let reason = format!("product {} is not in the catalogue", Uuid::nil());
    assert_eq!(app.broker.answer(unknown).await, What::Rejected(reason));
    assert_eq!(app.available(KETTLE).await, 240);

    // The very last one can be bought, and the next cannot.
    let all = app.broker.place(&[(RADIO, 3)]).await;
    assert_eq!(app.broker.answer(all).await, What::Reserved);
    let late = app.broker.place(&[(RADIO, 1)]).await;
    let reason = "Restored Valve Radio is sold out".to_owned();
    assert_eq!(app.broker.answer(late).await, What::Rejected(reason));
    assert_eq!(app.available(RADIO).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_one_product_count_together() {
    let app = TestApp::start().await;
    let order = app.broker.place(&[(RADIO, 2), (RADIO, 2)]).await;
    let reason = "only 3 of Restored Valve Radio left".to_owned();
    assert_eq!(app.broker.answer(order).await, What::Rejected(reason));
    let order = app.broker.place(&[(RADIO, 2), (RADIO, 1)]).await;
    assert_eq!(app.broker.answer(order).await, What::Reserved);
    assert_eq!(app.available(RADIO).await, 0);
}

/// Many orders at the same time, each for the last piece of one product and some of two others, named
/// in opposite orders: one of them gets it, and nobody waits in a circle.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_gets_the_last_piece() {
    const ROUNDS: i64 = 8;
    const BUYERS: usize = 12;
    let app = TestApp::with_partitions(8).await;
    for round in 1..=ROUNDS {
        app.stock(RADIO, 1).await;
        let orders = join_all((0..BUYERS).map(|buyer| {
            let mut lines = vec![(KETTLE, 1), (BOARD, 1), (RADIO, 1)];
            if buyer % 2 == 0 {
                lines.reverse();
            }
            let app = &app;
            async move { app.broker.place(&lines).await }
        }));
        let answers = join_all(
            orders
                .await
                .into_iter()
                .map(|order| app.broker.answer(order)),
        )
        .await;
        let reserved = answers
            .iter()
            .filter(|answer| **answer == What::Reserved)
            .count();
        assert_eq!(reserved, 1, "{answers:?}");
        assert_eq!(app.available(RADIO).await, 0);
        assert_eq!(app.available(KETTLE).await, 240 - round);
        assert_eq!(app.available(BOARD).await, 180 - round);
    }
    let deadlocks: i64 = sqlx::query_scalar(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
    )
    .fetch_one(&app.db)
    .await
    .unwrap();
    assert_eq!(deadlocks, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_again_answers_again_and_reserves_once() {
    let app = TestApp::start().await;
    let order = app.broker.place(&[(KETTLE, 5)]).await;
    app.broker.answers(order, 1).await;
    // Another event about the same order; what it asks for is not looked at again.
    app.broker.publish(&placed(order, &[(KETTLE, 5)])).await;
    app.broker.publish(&placed(order, &[(KETTLE, 50)])).await;
    let answers = app.broker.answers(order, 3).await;
    assert!(
        answers.iter().all(|answer| answer.what == What::Reserved),
        "{answers:?}"
    );
    let sequences: Vec<_> = answers.iter().map(|answer| answer.event.sequence).collect();
    assert_eq!(sequences, [Some(1), Some(2), Some(3)]);
    assert_eq!(app.available(KETTLE).await, 235);

    // A decision stays, even if it would be another one by now.
    let order = app.broker.place(&[(PRESS, 4)]).await;
    let first = app.broker.answer(order).await;
    app.stock(PRESS, 100).await;
    app.broker.publish(&placed(order, &[(PRESS, 4)])).await;
    let answers = app.broker.answers(order, 2).await;
    assert_eq!(answers[1].what, first);
    assert_eq!(
        first,
        What::Rejected("only 3 of Bookbinder's Press left".to_owned())
    );
    assert_eq!(app.available(PRESS).await, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_twice_counts_once() {
    let app = TestApp::start().await;
    let order = Uuid::now_v7();
    let event = placed(order, &[(KETTLE, 5)]);
    for _ in 0..3 {
        app.broker.publish(&event).await;
    }
    // One partition: when this one is answered, those before it are done.
    let fence = app.broker.place(&[(PAN, 1)]).await;
    app.broker.answer(fence).await;
    assert_eq!(app.available(KETTLE).await, 235);
    assert_eq!(app.version(order).await, 1);
    let (_, broker) = app.stop().await;
    assert_eq!(
        broker.answers(order, 1).await.len(),
        1,
        "not even the answer is repeated"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_other_types_are_ignored() {
    let app = TestApp::start().await;
    let order_id = Uuid::now_v7();
    let data = OrderConfirmed {
        order_id,
        user_id: Uuid::now_v7(),
        total_amount: 1,
        currency: "EUR".to_owned(),
    };
    let mut event = Event::new(data);
    app.broker.publish(&event).await;
    event.event_type = "agora.order.gift_wrapped.v1".to_owned();
    app.broker.publish(&event).await;
    let fence = app.broker.place(&[(KETTLE, 1)]).await;
    assert_eq!(app.broker.answer(fence).await, What::Reserved);
    let (db, broker) = app.stop().await;
    assert!(broker.dead_letters(0).await.is_empty());
    assert_eq!(available(&db, KETTLE).await, 239);
}
