//! `agora.order.placed` in either version, in both at once, and in one that is not known yet.

use contracts::events::{OrderPlaced, OrderPlacedV2};
use contracts::sources::ORDERS;
use envelope::{Event, EventData};
use messaging::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::TestApp;
use crate::broker::{What, placed};
use crate::goods::KETTLE;

/// An event as it lay on the topic before there was a second version, with its order's id.
const RECORDED: &str =
    include_str!("../../../../crates/contracts/tests/fixtures/order-placed-v1.txt");

fn recorded() -> (Uuid, Message) {
    let (headers, body) = RECORDED.split_once("\n\n").unwrap();
    let headers = headers.lines().map(|line| line.split_once(": ").unwrap());
    let mut message = Message::new(body.trim_end().to_owned());
    message.headers = headers
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let key = message.header("ce_subject").unwrap().to_owned();
    let order_id = key.parse().unwrap();
    message.key = Some(key);
    (order_id, message)
}

/// Answers to an order, once whatever was published before has been handled too.
async fn answers_until_now(app: &TestApp, order_id: Uuid) -> usize {
    let last = app.broker.place(&[(KETTLE, 1)]).await;
    app.broker.answer(last).await;
    app.broker.answers(order_id, 0).await.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_event_of_the_first_version_is_handled_as_ever() {
    let app = TestApp::start().await;
    let (order_id, message) = recorded();
    for _ in 0..2 {
        app.broker.publish_raw(message.clone()).await;
    }
    assert_eq!(app.broker.answer(order_id).await, What::Reserved);
    assert_eq!(app.available(KETTLE).await, 239);
    assert_eq!(answers_until_now(&app, order_id).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn twins_reserve_once_whichever_comes_first() {
    let app = TestApp::start().await;
    let mut left = 240;
    for is_older_first in [true, false] {
        let order_id = Uuid::now_v7();
        let older: Event<OrderPlaced> = placed(order_id, &[(KETTLE, 2)]);
        let newer = OrderPlacedV2::from(older.data.clone());
        let (older, newer) = older.with_twin(newer);
        if is_older_first {
            app.broker.publish(&older).await;
            app.broker.publish(&newer).await;
        } else {
            app.broker.publish(&newer).await;
            app.broker.publish(&older).await;
        }
        // Delivered again.
        app.broker.publish(&newer).await;
        app.broker.publish(&older).await;
        assert_eq!(app.broker.answer(order_id).await, What::Reserved);
        assert_eq!(
            answers_until_now(&app, order_id).await,
            1,
            "older first: {is_older_first}"
        );
        // Two of the order, and one to see that it was over.
        left -= 3;
        assert_eq!(app.available(KETTLE).await, left);
    }
    let noted: i64 = sqlx::query_scalar("SELECT count(*) FROM inbox")
        .fetch_one(&app.db)
        .await
        .unwrap();
    assert_eq!(noted, 4, "an event each");
    assert!(app.broker.dead_letters(0).await.is_empty());
}

/// What a later version may look like.
#[derive(Serialize, Deserialize)]
struct OrderPlacedV3 {
    order_id: Uuid,
}

impl EventData for OrderPlacedV3 {
    const TYPE: &'static str = "agora.order.placed.v3";
    const SOURCE: &'static str = ORDERS;

    fn subject(&self) -> String {
        self.order_id.to_string()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_not_known_yet_is_parked_and_says_so() {
    let app = TestApp::start().await;
    let order_id = Uuid::now_v7();
    app.broker
        .publish(&Event::new(OrderPlacedV3 { order_id }))
        .await;
    // It blocks nobody.
    let behind = app.broker.place(&[(KETTLE, 1)]).await;
    assert_eq!(app.broker.answer(behind).await, What::Reserved);
    let parked = app.broker.dead_letters(1).await;
    assert_eq!(
        parked[0].message.header("dlq_reason"),
        Some(
            "agora.order.placed.v3 is newer than agora.order.placed.v2, the newest version that is read here"
        )
    );
    assert_eq!(parked[0].message.header("dlq_attempts"), Some("1"));

    // With a twin that is known, there is nothing to park.
    let (older, newer) = placed(order_id, &[(KETTLE, 1)]).with_twin(OrderPlacedV3 { order_id });
    app.broker.publish(&newer).await;
    app.broker.publish(&older).await;
    assert_eq!(app.broker.answer(order_id).await, What::Reserved);
    assert_eq!(app.broker.dead_letters(1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_the_catalogue_show_the_same() {
    let app = TestApp::start().await;
    let as_v2 = |v1: &Value| {
        let mut v2 = v1.clone();
        let members = v2.as_object_mut().unwrap();
        let (amount, currency) = (members.remove("price"), members.remove("currency"));
        members.insert(
            "price".to_owned(),
            json!({"amount": amount, "currency": currency}),
        );
        v2
    };
    let v1 = app.get(&format!("/v1/products/{KETTLE}")).await.body;
    let v2 = app.get(&format!("/v2/products/{KETTLE}")).await.body;
    assert_eq!(v2, as_v2(&v1));

    let v1 = app.get("/v1/products?page_size=3").await.body;
    let v2 = app.get("/v2/products?page_size=3").await.body;
    let expected: Vec<_> = v1["products"]
        .as_array()
        .unwrap()
        .iter()
        .map(as_v2)
        .collect();
    assert_eq!(v2["products"], json!(expected));
    // A list begun in one version goes on in the other.
    assert_eq!(v1["next_page_token"], v2["next_page_token"]);
    app.get("/v2/products/none").await.expect_problem(404);
}
