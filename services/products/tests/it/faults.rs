//! Events that nobody can handle, and a service that ends in the middle of its work.

use contracts::products::v1::GetProductsRequest;
use envelope::KAFKA_PREFIX;
use futures::future::join_all;
use http::StatusCode;
use messaging::Message;
use messaging::dead_letter::REASON;
use tonic::Code;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::app::TestApp;
use crate::broker::{What, cancelled, placed};
use crate::goods::{KETTLE, PAN};
use crate::quote::catalog;

/// Holds up whoever wants to take something.
const LOCK_SHELF: &str = "SELECT FROM products FOR UPDATE";
/// The statement in which that shows.
const DECIDING: &str = "FOR NO KEY UPDATE";
/// Holds up whoever wants to tell something.
const LOCK_OUTBOX: &str = "LOCK TABLE outbox IN SHARE MODE";
/// The statement in which that shows.
const ANSWERING: &str = "SELECT outbox_tell(";

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_event_is_parked_and_its_neighbours_go_on() {
    let app = TestApp::start().await;
    let order = Uuid::now_v7();
    let key = order.to_string();
    let good = placed(order, &[(KETTLE, 1)])
        .to_binary(KAFKA_PREFIX)
        .unwrap();
    let message = |headers: &[(String, String)], payload: &str| Message {
        key: Some(key.clone()),
        headers: headers.to_vec(),
        payload: payload.to_owned().into(),
    };

    let first = app.broker.place(&[(KETTLE, 1)]).await;
    app.broker
        .publish_raw(message(&good.headers, "{not json"))
        .await;
    app.broker
        .publish_raw(message(&good.headers, r#"{"order_id": "x"}"#))
        .await;
    app.broker
        .publish_raw(message(&[], r#"{"order_id": "x"}"#))
        .await;
    app.broker.publish(&placed(order, &[(KETTLE, 0)])).await;
    app.broker.publish(&placed(order, &[])).await;
    let second = app.broker.place(&[(KETTLE, 1)]).await;

    assert_eq!(app.broker.answer(first).await, What::Reserved);
    assert_eq!(app.broker.answer(second).await, What::Reserved);
    let parked = app.broker.dead_letters(5).await;
    assert_eq!(parked.len(), 5);
    for (dead, reason) in parked.iter().zip([
        "JSON",
        "UUID",
        "specversion",
        "at least 1",
        "at least one line",
    ]) {
        assert_eq!(dead.message.key.as_deref(), Some(key.as_str()));
        let said = dead.header(REASON).expect("a reason");
        assert!(
            said.to_lowercase().contains(&reason.to_lowercase()),
            "{reason:?} in {said:?}"
        );
    }
    assert_eq!(app.available(KETTLE).await, 238);
}

/// The database goes away and comes back: callers are told to try again, and events wait instead of
/// being parked.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_that_is_away_is_waited_for() {
    let (app, link) = TestApp::with_link().await;
    let path = format!("/v1/products/{KETTLE}");
    let ids = GetProductsRequest {
        ids: vec![KETTLE.to_string()],
    };
    assert_eq!(app.get(&path).await.status, 200);

    // An order is being decided when the wire is cut.
    let shelf = app.hold(LOCK_SHELF).await;
    let order = app.broker.place(&[(KETTLE, 1)]).await;
    app.until_held_in(DECIDING).await;
    link.cut();
    let reply = app.get(&path).await;
    assert!(reply.headers.contains_key("retry-after"), "{reply:?}");
    reply.expect_problem(503);
    let status = catalog(&app).get_products(ids.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.get_details_retry_info().is_some(), "{status:?}");
    app.until_readyz(StatusCode::SERVICE_UNAVAILABLE).await;

    drop(shelf);
    link.mend();
    app.until_readyz(StatusCode::OK).await;
    assert_eq!(app.broker.answer(order).await, What::Reserved);
    assert_eq!(app.get(&path).await.body["available"], 239);
    assert!(catalog(&app).get_products(ids).await.is_ok());
    let (_, broker) = app.stop().await;
    assert!(broker.dead_letters(0).await.is_empty());
}

/// The service ends between two statements of a decision: nothing of it remains, and it is made again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crash_between_two_statements_leaves_nothing_behind() {
    // Before the stock is taken, and after that, before the answer is written.
    for (lock, held_in) in [(LOCK_SHELF, DECIDING), (LOCK_OUTBOX, ANSWERING)] {
        let mut app = TestApp::start().await;
        let lock = app.hold(lock).await;
        let order = app.broker.place(&[(KETTLE, 1)]).await;
        app.until_held_in(held_in).await;
        app.crash().await;
        lock.rollback().await.unwrap();
        let app = app.restart().await;
        assert_eq!(app.broker.answer(order).await, What::Reserved);
        assert_eq!(app.available(KETTLE).await, 239);
        // Nor was anything told twice: what is told next about this order is the second event.
        app.broker.publish(&placed(order, &[(KETTLE, 1)])).await;
        let answers = app.broker.answers(order, 2).await;
        let sequences: Vec<_> = answers.iter().map(|answer| answer.event.sequence).collect();
        assert_eq!(sequences, [Some(1), Some(2)]);
    }
}

/// Makes the first commit of a reservation fail. A sequence is not rolled back, so the second succeeds.
const FAIL_ONE_COMMIT: &str = "
    CREATE SEQUENCE commits;
    CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('commits') = 1 THEN RAISE EXCEPTION 'this commit fails'; END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER fail_once AFTER INSERT ON reservations
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail_once();";

/// The answer is part of what is rolled back: nobody hears of a decision that does not stand.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_fails_tells_nobody() {
    let app = TestApp::start().await;
    app.hold(FAIL_ONE_COMMIT).await.commit().await.unwrap();
    let order = app.broker.place(&[(KETTLE, 1)]).await;
    app.broker.answer(order).await;
    app.broker.publish(&placed(order, &[(KETTLE, 1)])).await;
    let answers = app.broker.answers(order, 2).await;
    let sequences: Vec<_> = answers.iter().map(|answer| answer.event.sequence).collect();
    assert_eq!(sequences, [Some(1), Some(2)]);
    assert_eq!(app.available(KETTLE).await, 239);
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
        let some = join_all(
            batch
                .iter()
                .take(crash * 5)
                .map(|order| app.broker.answer(*order)),
        );
        some.await;
        orders.extend(batch);
        app = app.crash_and_restart().await;
    }

    let mut reserved = Vec::new();
    for order in orders {
        let answers = app.broker.answers(order, 1).await;
        assert!(
            answers.iter().all(|answer| answer.what == answers[0].what),
            "{answers:?}"
        );
        if answers[0].what == What::Reserved {
            reserved.push(order);
        }
    }
    assert_eq!(reserved.len(), 90);
    assert_eq!(
        (app.available(PAN).await, app.available(KETTLE).await),
        (0, 150)
    );

    for order in &reserved {
        app.broker.publish(&cancelled(*order)).await;
    }
    let mut app = app.crash_and_restart().await;
    app.broker.answers_until(reserved[0], What::Released).await;
    app = app.crash_and_restart().await;
    for order in reserved {
        let mut answers = app.broker.answers_until(order, What::Released).await;
        assert_eq!(answers.pop().unwrap().what, What::Released);
    }
    assert_eq!(
        (app.available(PAN).await, app.available(KETTLE).await),
        (90, 240)
    );
}
