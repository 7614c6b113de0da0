//! One outage is one line for whoever is on call, however many parts of the service meet it.

use contracts::testing::FakeUsers;
use embedded::testing::{Link, fresh_database};

use crate::app::TestApp;
use crate::broker::{Broker, PATIENCE, What};
use crate::door::LOOK_EVERY;
use crate::goods::KETTLE;

/// Attempts to reach what is away: each part of the service makes several in this time.
const ATTEMPTS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_database_is_one_warning() {
    let (broker, users) = (Broker::start(1).await, FakeUsers::start().await);
    let (link, url) = Link::to_database(&fresh_database().url).await;
    let products = TestApp::as_process(&url, &broker, &users).await;
    let first = broker.place(&[(KETTLE, 1)]).await;
    assert_eq!(broker.answer(first).await, What::Reserved);

    link.cut();
    let before = link.attempts();
    let second = broker.place(&[(KETTLE, 1)]).await;
    products.until_dependency_is("postgres", "down").await;
    let tried = async {
        while link.attempts() < before + ATTEMPTS {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(PATIENCE, tried)
        .await
        .expect("the relay, the consumer and the watch try");
    link.mend();
    products.until_dependency_is("postgres", "up").await;
    assert_eq!(broker.answer(second).await, What::Reserved);
    products.assert_one_outage("postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_broker_is_one_warning() {
    let (broker, users) = (Broker::start(1).await, FakeUsers::start().await);
    let database = fresh_database();
    let products = TestApp::as_process(&database.url, &broker, &users).await;
    let first = broker.place(&[(KETTLE, 1)]).await;
    assert_eq!(broker.answer(first).await, What::Reserved);

    broker.down();
    products.until_dependency_is("kafka", "down").await;
    broker.up();
    products.until_dependency_is("kafka", "up").await;
    products.assert_one_outage("kafka").await;
}
