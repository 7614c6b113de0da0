//! Events that nobody can handle, and a service that ends in the middle of its work.

use envelope::KAFKA_PREFIX;
use futures::future::join_all;
use messaging::Message;
use messaging::dead_letter::REASON;
use uuid::Uuid;

use crate::app::TestApp;
use crate::broker::{What, cancelled, placed};
use crate::goods::{KETTLE, PAN};

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_event_is_parked_and_its_neighbours_go_on() {
    let app = TestApp::start().await;
    let order = Uuid::now_v7();
    let key = order.to_string();
    let good = placed(order, &[(KETTLE, 1)]).to_binary(KAFKA_PREFIX).unwrap();
    let message = |headers: &[(String, String)], payload: &str| Message {
        key: Some(key.clone()),
        headers: headers.to_vec(),
        payload: payload.to_owned().into(),
    };

    let first = app.broker.place(&[(KETTLE, 1)]).await;
    app.broker.publish_raw(message(&good.headers, "{not json")).await;
    app.broker.publish_raw(message(&good.headers, r#"{"order_id": "x"}"#)).await;
    app.broker.publish_raw(message(&[], r#"{"order_id": "x"}"#)).await;
    app.broker.publish(&placed(order, &[(KETTLE, 0)])).await;
    app.broker.publish(&placed(order, &[])).await;
    let second = app.broker.place(&[(KETTLE, 1)]).await;

    assert_eq!(app.broker.answer(first).await, What::Reserved);
    assert_eq!(app.broker.answer(second).await, What::Reserved);
    let parked = app.broker.dead_letters(5).await;
    assert_eq!(parked.len(), 5);
    for (dead, reason) in parked.iter().zip(["JSON", "UUID", "ce_", "at least 1", "at least one line"]) {
        assert_eq!(dead.message.key.as_deref(), Some(key.as_str()));
        let said = dead.header(REASON).expect("a reason");
        assert!(said.to_lowercase().contains(&reason.to_lowercase()), "{reason:?} in {said:?}");
    }
    assert_eq!(app.available(KETTLE).await, 238);
}

/// Orders come in while the service is ended without a word again and again: each of them is answered,
/// the same each time, and the stock adds up.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_restart_in_the_middle_loses_nothing() {
    const CRASHES: usize = 5;
    const ORDERS: usize = 40;
    let mut app = TestApp::with_partitions(4).await;
    app.stock(PAN, 90).await;
    let mut orders = Vec::new();
    for crash in 0..CRASHES {
        let batch = join_all((0..ORDERS).map(|_| app.broker.place(&[(KETTLE, 1), (PAN, 1)]))).await;
        // At another place each time: after none, some or many of them.
        let some = join_all(batch.iter().take(crash * 5).map(|order| app.broker.answer(*order)));
        some.await;
        orders.extend(batch);
        app = app.crash_and_restart().await;
    }

    let mut reserved = Vec::new();
    for order in orders {
        let answers = app.broker.answers(order, 1).await;
        assert!(answers.iter().all(|answer| answer.what == answers[0].what), "{answers:?}");
        if answers[0].what == What::Reserved {
            reserved.push(order);
        }
    }
    assert_eq!(reserved.len(), 90);
    assert_eq!((app.available(PAN).await, app.available(KETTLE).await), (0, 150));

    for order in &reserved {
        app.broker.publish(&cancelled(*order)).await;
    }
    let mut app = app.crash_and_restart().await;
    app.broker.answers(reserved[0], 2).await;
    app = app.crash_and_restart().await;
    for order in reserved {
        let last = app.broker.answers(order, 2).await.pop().unwrap();
        assert_eq!(last.what, What::Released);
    }
    assert_eq!((app.available(PAN).await, app.available(KETTLE).await), (90, 240));
}
