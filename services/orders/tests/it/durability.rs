//! What was accepted is told, whatever is killed afterwards.

use contracts::testing::customer;
use sqlx::Executor as _;

use crate::app::{World, eventually, wish};

/// A broker that does not exist: nothing gets out.
const NOWHERE: &str = "127.0.0.1:1";

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_commit_and_publish_loses_nothing() {
    let world = World::new().await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let lost = {
        let orders = world.serve_unready(&[("--kafka-brokers", NOWHERE)]).await;
        let mut placed = Vec::new();
        for n in 1..=5 {
            placed.push(orders.place(&buyer, lamp, n).await);
        }
        orders
            .call(&buyer, "DELETE", &format!("/v1/orders/{}", placed[0]))
            .await;
        orders.crash().await;
        placed
    };
    assert_eq!(world.count("outbox").await, 6);

    let orders = world.serve(&[]).await;
    for order_id in &lost {
        assert_eq!(world.broker.events(*order_id, 1).await[0].sequence(), 1);
    }
    let first = world.broker.events(lost[0], 2).await;
    assert_eq!(
        first
            .iter()
            .map(|event| event.sequence())
            .collect::<Vec<_>>(),
        [1, 2]
    );
    world.broker.reserved(lost[1]).await;
    orders.until_status(&buyer, lost[1], "confirmed").await;
    eventually("the outbox is empty", || async {
        (world.count("outbox").await == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_change_without_its_event() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    world.broker.events(order_id, 1).await;

    world
        .db
        .execute("ALTER TABLE outbox RENAME TO hidden")
        .await
        .unwrap();
    let body = wish(&[(lamp, 1)]);
    orders.post_order(&buyer, &body).await.assert_problem(500);
    orders
        .post_with_key(&buyer, "k", &body)
        .await
        .assert_problem(500);
    orders
        .call(&buyer, "DELETE", &format!("/v1/orders/{order_id}"))
        .await
        .assert_problem(500);
    assert_eq!(world.count("orders").await, 1);
    assert_eq!(world.count("idempotency_keys").await, 0);

    // Nor is a decision taken in: it is tried again until its event can be written, too.
    let decision = world.broker.reserved(order_id).await;
    eventually("the decision was tried", || async {
        // Rolled back, the attempt leaves only a dead row behind.
        let tried = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'inbox'";
        let tried: i64 = sqlx::query_scalar(tried)
            .fetch_one(&world.db)
            .await
            .unwrap();
        (tried > 0).then_some(())
    })
    .await;
    let order = orders.order(&buyer, order_id).await;
    assert_eq!(order["status"], "pending");
    assert_eq!(world.count("inbox").await, 0);

    world
        .db
        .execute("ALTER TABLE hidden RENAME TO outbox")
        .await
        .unwrap();
    orders.until_status(&buyer, order_id, "confirmed").await;
    let told = &world.broker.events(order_id, 2).await[1];
    assert_eq!(told.header("ce_causationid"), decision.id.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_taken_while_the_broker_is_away() {
    let world = World::new().await;
    let orders = world.serve_unready(&[("--kafka-brokers", NOWHERE)]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    let order = orders.order(&buyer, order_id).await;
    assert_eq!(order["status"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_tell_each_order_s_events_in_order() {
    let world = World::new().await;
    let replicas = [world.serve(&[]).await, world.serve(&[]).await];
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let mut placed = Vec::new();
    for n in 0..40 {
        let order_id = replicas[n % 2].place(&buyer, lamp, 1).await;
        world.broker.reserved(order_id).await;
        placed.push(order_id);
    }
    for (n, order_id) in placed.iter().enumerate() {
        let replica = &replicas[(n + 1) % 2];
        replica.until_status(&buyer, *order_id, "confirmed").await;
        let path = format!("/v1/orders/{order_id}");
        assert_eq!(replica.call(&buyer, "DELETE", &path).await.status, 200);
    }
    for order_id in placed {
        let told = world.broker.events(order_id, 3).await;
        assert_eq!(
            told.iter()
                .map(|event| event.sequence())
                .collect::<Vec<_>>(),
            [1, 2, 3]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_clean() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    orders
        .place(&customer(), world.catalog.product(100), 1)
        .await;
    orders.stop().await;
}
