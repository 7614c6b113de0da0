//! One outage is one line for whoever is on call, however many parts of the service meet it.

use contracts::testing::customer;
use embedded::testing::Link;

use crate::app::{Service, World, eventually, wish};

/// Attempts to reach what is away: each part of the service makes several in this time.
const ATTEMPTS: usize = 20;

async fn until_readiness_is(orders: &Service, status: u16) {
    eventually(&format!("readiness is {status}"), || async {
        (orders.readiness().await.status == status).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_database_is_one_warning() {
    let world = World::new().await;
    let (link, url) = Link::to_database(&world.database.url).await;
    let settings = [("--database-url", url.as_str()), ("--saga-deadline", "1s")];
    let (orders, process) = world.serve_as_process(&settings).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    world.broker.events(order_id, 1).await;

    link.cut();
    let before = link.attempts();
    for _ in 0..3 {
        orders
            .post_order(&buyer, &wish(&[(lamp, 1)]))
            .await
            .assert_problem(503);
    }
    world.broker.reserved(order_id).await;
    until_readiness_is(&orders, 503).await;
    eventually(
        "the relay, the saga, the consumer and the watch have tried",
        || async { (link.attempts() >= before + ATTEMPTS).then_some(()) },
    )
    .await;
    link.mend();
    until_readiness_is(&orders, 200).await;
    orders.until_status(&buyer, order_id, "confirmed").await;
    process.assert_one_outage("postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_broker_is_one_warning() {
    let world = World::new().await;
    let (orders, process) = world.serve_as_process(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let first = orders.place(&buyer, lamp, 1).await;
    world.broker.events(first, 1).await;

    world.broker.down();
    let second = orders.place(&buyer, lamp, 1).await;
    let third = orders.place(&buyer, lamp, 1).await;
    until_readiness_is(&orders, 503).await;
    world.broker.up();
    until_readiness_is(&orders, 200).await;
    for order_id in [second, third] {
        world.broker.events(order_id, 1).await;
    }
    process.assert_one_outage("kafka").await;
}

/// The database drops between its migrations and the tables of the outbox, which are made under a lock that the test holds
/// ("outb" and -1).
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_drops_in_the_middle_of_the_start_is_waited_for() {
    let world = World::new().await;
    let (link, url) = Link::to_database(&world.database.url).await;
    link.cut();
    let orders = world.serve_unready(&[("--database-url", &url)]).await;
    eventually("it has tried several times", || async {
        (link.attempts() >= 3).then_some(())
    })
    .await;
    assert_eq!(orders.readiness().await.status, 503);

    let mut held = world.db.begin().await.unwrap();
    let lock = sqlx::query("SELECT pg_advisory_xact_lock(x'6f757462'::int, -1)");
    lock.execute(&mut *held).await.unwrap();
    link.mend();
    eventually("it asks for the lock", || async {
        let asking: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
              WHERE datname = current_database() AND application_name = 'orders'
                AND query LIKE 'SELECT pg_try_advisory_xact_lock(%'",
        )
        .fetch_one(&world.db)
        .await
        .unwrap();
        (asking > 0).then_some(())
    })
    .await;
    assert_ne!(world.count("_sqlx_migrations").await, 0);
    link.cut();
    eventually("readiness tells of it", || async {
        let readiness = orders.readiness().await.json();
        let mut dependencies = readiness["dependencies"].as_array().into_iter().flatten();
        dependencies
            .any(|one| one["name"] == "postgres" && one["state"] == "down")
            .then_some(())
    })
    .await;
    held.rollback().await.unwrap();
    link.mend();
    until_readiness_is(&orders, 200).await;
    orders.stop().await;
}
