//! The database goes away and comes back.

use client::{Address, CallContext, CallError, Peer, RestClient};
use contracts::{queues, topics::USER_EVENTS};
use embedded::testing::{Link, TestDatabase};
use messaging::{Queue as _, pg_queue::PgQueue};
use serde_json::Value;
use std::time::{Duration, Instant};

use crate::app::{App, PASSWORD, Setup, assert_unavailable};

/// How long a stop may take, whatever is away: the four seconds of its deadline (`SHUTDOWN_DEADLINE`), and on a busy machine
/// some more.
const STOP_MAX: Duration = Duration::from_secs(15);

/// Attempts to reach what is away: each part of the service makes several in this time.
const ATTEMPTS: usize = 20;

/// A database behind a link that can be cut.
async fn linked() -> (TestDatabase, Link) {
    let database = embedded::testing::fresh_database();
    let (link, url) = Link::to_database(&database.url).await;
    (TestDatabase { url }, link)
}

/// What an admin path answers: its status.
async fn admin(app: &App, path: &str) -> u16 {
    let address: Address = app.admin_url.parse().unwrap();
    let patient = "deadline=10s,attempt=10s,retries=0".parse().unwrap();
    let rest = RestClient::new(Peer::new("admin", address, patient));
    match rest.get::<Value>(path, &CallContext::default()).await {
        Ok(_) | Err(CallError::Decode { .. }) => 200,
        Err(CallError::Problem(problem)) => problem.status,
        Err(error) => panic!("{error}"),
    }
}

/// Polls until it is so; fails after a minute.
async fn until_readiness_is(app: &App, status: u16) {
    let poll = async {
        while admin(app, "/readyz").await != status {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), poll)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_is_said_and_waited_for() {
    let (database, link) = linked().await;
    let app = Setup::on(database).start().await;
    let (ada, token) = app.customer("ada@example.com").await;
    until_readiness_is(&app, 200).await;

    link.cut();
    assert_unavailable(&app.get_user(&token, &ada.id).await.unwrap_err());
    assert_unavailable(
        &app.authenticate("ada@example.com", PASSWORD)
            .await
            .unwrap_err(),
    );
    assert_unavailable(&app.sign_up("eve@example.com").await.unwrap_err());
    until_readiness_is(&app, 503).await;
    assert_eq!(admin(&app, "/livez").await, 200);

    link.mend();
    until_readiness_is(&app, 200).await;
    app.get_user(&token, &ada.id).await.unwrap();
    app.sign_up("eve@example.com").await.unwrap();

    // A running service, too, stops in time without its database.
    link.cut();
    until_readiness_is(&app, 503).await;
    let stopped = tokio::time::timeout(STOP_MAX, app.stop()).await;
    stopped.expect("it stops in time").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_starts_before_its_database_waits() {
    let (database, link) = linked().await;
    link.cut();
    let app = Setup::on(database).launch().await;
    until_readiness_is(&app, 503).await;
    assert_eq!(admin(&app, "/livez").await, 200);
    link.mend();
    until_readiness_is(&app, 200).await;
    app.sign_up("ada@example.com").await.unwrap();
    app.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_waits_can_be_stopped() {
    // Nobody listens there: the pool tries again and again for as long as it is asked to.
    let database = TestDatabase {
        url: "postgres://users:secret@127.0.0.1:1/users".to_owned(),
    };
    // There is nothing to drain, so not even the pool's patience is waited for. A busy machine may be late by as much, but not
    // each time.
    for _ in 0..5 {
        let app = Setup::on(database.clone()).launch().await;
        until_readiness_is(&app, 503).await;
        let begun = Instant::now();
        let stopped = tokio::time::timeout(STOP_MAX, app.stop()).await;
        stopped.expect("it stops").unwrap();
        if begun.elapsed() < chassis::db::ACQUIRE_TIMEOUT / 2 {
            return;
        }
    }
    panic!("it waits for what it does not need");
}

/// One outage is one line for whoever is on call, however many parts of the service meet it.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_database_is_one_warning() {
    let (database, link) = linked().await;
    let kafka = embedded::testing::kafka(&[(USER_EVENTS, 1)]);
    let (process, app) = Setup::on(database).with_kafka(&kafka).spawn().await;
    let (ada, token) = app.customer("ada@example.com").await;

    link.cut();
    let before = link.attempts();
    for _ in 0..3 {
        assert_unavailable(&app.get_user(&token, &ada.id).await.unwrap_err());
    }
    process.until_dependency_is("postgres", "down").await;
    let tried = async {
        while link.attempts() < before + ATTEMPTS {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), tried)
        .await
        .expect("the relay, the keys' upkeep and the watch try");
    link.mend();
    process.until_dependency_is("postgres", "up").await;
    app.get_user(&token, &ada.id).await.unwrap();
    process.assert_one_outage("postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_broker_is_one_warning() {
    let kafka = embedded::testing::kafka(&[(USER_EVENTS, 1)]);
    let (process, app) = Setup::new().with_kafka(&kafka).spawn().await;
    // Otherwise the exchange, which nobody reads, is what is away.
    let queue = PgQueue::new(app.pool.clone());
    queue.install().await.unwrap();
    queue.declare(queues::USER_CREATED_WELCOME).await.unwrap();
    let bound = queue.bind(queues::USER_CREATED, queues::USER_CREATED_WELCOME);
    bound.await.unwrap();
    app.sign_up("ada@example.com").await.unwrap();
    process.until_dependency_is("kafka", "up").await;

    kafka.down();
    // People sign up all the same.
    app.sign_up("bob@example.com").await.unwrap();
    app.sign_up("eve@example.com").await.unwrap();
    process.until_dependency_is("kafka", "degraded").await;
    // Its other engine is there, and gets what is for it.
    process.until_dependency_is("queue", "up").await;
    kafka.up();
    process.until_dependency_is("kafka", "up").await;
    process.assert_one_outage("kafka").await;
}
