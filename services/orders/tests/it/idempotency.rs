//! One key, one order.

use std::collections::HashSet;
use std::sync::Arc;

use contracts::testing::{Someone, customer};
use serde_json::{Value, json};
use sqlx::Executor as _;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::app::{Service, World, eventually, wish};
use crate::http::Answer;

/// Posts under the key `k`, and does not wait for the answer.
fn begin(orders: &Arc<Service>, buyer: &Someone, body: &Value) -> JoinHandle<Answer> {
    let (orders, buyer, body) = (Arc::clone(orders), buyer.clone(), body.clone());
    tokio::spawn(async move { orders.post_with_key(&buyer, "k", &body).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_is_answered_the_same() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let body = wish(&[(lamp, 2)]);
    let first = orders.post_with_key(&buyer, "k", &body).await;
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(first.header("idempotency-replayed"), None);

    // Whatever has become of the price and of the order.
    world.catalog.set_price(lamp, 999, "EUR");
    let order_id = crate::app::id(&first.json());
    world.broker.reserved(order_id).await;
    orders.until_status(&buyer, order_id, "confirmed").await;

    let written_otherwise =
        format!("{{ \"items\" : [{{\"quantity\":2, \"product_id\": \"{lamp}\"}}] }}");
    for body in [body.to_string(), written_otherwise] {
        let again = orders
            .post_raw(&buyer, &[("idempotency-key", "k")], body)
            .await;
        assert_eq!(again.status, 201, "{again:?}");
        assert_eq!(again.body, first.body);
        assert_eq!(again.header("location"), first.header("location"));
        assert_eq!(again.header("content-type"), Some("application/json"));
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
    }
    assert_eq!(world.count("orders").await, 1);
    assert_eq!(world.catalog.calls().len(), 1, "a replay needs no prices");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once_are_one_order() {
    let world = World::new().await;
    // Two replicas, so that what one process knows of itself is not enough.
    let replicas = Arc::new([world.serve(&[]).await, world.serve(&[]).await]);
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let body = wish(&[(lamp, 1)]);

    let requests: Vec<_> = (0..50)
        .map(|n| {
            let (replicas, buyer, body) = (replicas.clone(), buyer.clone(), body.clone());
            tokio::spawn(async move { replicas[n % 2].post_with_key(&buyer, "k", &body).await })
        })
        .collect();
    let mut bodies = HashSet::new();
    let mut placed = 0;
    for request in requests {
        let answer = request.await.unwrap();
        match answer.status {
            201 => {
                placed += u32::from(answer.header("idempotency-replayed").is_none());
                bodies.insert(answer.body);
            }
            _ => {
                answer.assert_problem(409);
                assert_eq!(answer.header("retry-after"), Some("1"));
            }
        }
    }
    assert_eq!(placed, 1, "one request placed the order");
    assert_eq!(world.count("orders").await, 1);

    // Whoever comes back gets the same, also if many come at once.
    let again = (0..20).map(|n| replicas[n % 2].post_with_key(&buyer, "k", &body));
    for again in futures::future::join_all(again).await {
        assert_eq!(
            (again.status, again.header("idempotency-replayed")),
            (201, Some("true"))
        );
        bodies.insert(again.body);
    }
    assert_eq!(bodies.len(), 1, "one body: {bodies:?}");
    let events = world.broker.events(
        crate::app::id(&serde_json::from_slice(bodies.iter().next().unwrap()).unwrap()),
        1,
    );
    assert_eq!(events.await.len(), 1);
}

/// A basket is a set of lines.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_lines_in_another_order_are_the_same_request() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp, desk) = (
        customer(),
        world.catalog.product(100),
        world.catalog.product(200),
    );
    let first = wish(&[(lamp, 1), (desk, 2)]);
    let first = orders.post_with_key(&buyer, "k", &first).await;
    assert_eq!(first.status, 201, "{first:?}");
    for lines in [
        &[(desk, 2), (lamp, 1)][..],
        &[(desk, 1), (lamp, 1), (desk, 1)],
    ] {
        let again = orders.post_with_key(&buyer, "k", &wish(lines)).await;
        assert_eq!((again.status, &again.body), (201, &first.body));
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
    }
    // Nor does it matter how a client writes its numbers.
    let written = wish(&[(lamp, 1), (desk, 2)]).to_string();
    let written = written.replace("\"quantity\":2", "\"quantity\":2.0");
    assert!(written.contains("2.0"), "{written}");
    let again = orders
        .post_raw(&buyer, &[("idempotency-key", "k")], written)
        .await;
    assert_eq!((again.status, &again.body), (201, &first.body));
    let other = wish(&[(desk, 1), (lamp, 2)]);
    let other = orders.post_with_key(&buyer, "k", &other).await;
    other.assert_problem(422);
    assert_eq!(world.count("orders").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_body_under_the_same_key_is_refused() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    assert_eq!(
        orders
            .post_with_key(&buyer, "k", &wish(&[(lamp, 1)]))
            .await
            .status,
        201
    );
    let answer = orders.post_with_key(&buyer, "k", &wish(&[(lamp, 2)])).await;
    answer.assert_problem(422);
    assert!(
        answer.json()["type"]
            .as_str()
            .unwrap()
            .ends_with("/idempotency-key-reused")
    );
    assert_eq!(world.count("orders").await, 1);
    // Another key, or none, is another order.
    assert_eq!(
        orders
            .post_with_key(&buyer, "l", &wish(&[(lamp, 1)]))
            .await
            .status,
        201
    );
    assert_eq!(
        orders.post_order(&buyer, &wish(&[(lamp, 1)])).await.status,
        201
    );
    // And so is another customer's.
    assert_eq!(
        orders
            .post_with_key(&customer(), "k", &wish(&[(lamp, 2)]))
            .await
            .status,
        201
    );
    assert_eq!(world.count("orders").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_first_is_running_the_second_is_told_so() {
    let world = World::new().await;
    let orders = Arc::new(world.serve(&[]).await);
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let body = wish(&[(lamp, 1)]);

    let hold = world.catalog.hold();
    let first = begin(&orders, &buyer, &body);
    world.catalog.called(1).await;
    let second = orders.post_with_key(&buyer, "k", &body).await;
    second.assert_problem(409);
    assert_eq!(second.header("retry-after"), Some("1"));
    drop(hold);

    let first = first.await.unwrap();
    assert_eq!(first.status, 201);
    assert_eq!(
        orders.post_with_key(&buyer, "k", &body).await.body,
        first.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_replica_sees_that_the_first_is_running() {
    let world = World::new().await;
    let (first, second) = (Arc::new(world.serve(&[]).await), world.serve(&[]).await);
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let body = wish(&[(lamp, 1)]);

    // Stops the first in the middle of its transaction: behind the order, before its event.
    let mut stop = world.db.begin().await.unwrap();
    stop.execute("LOCK TABLE outbox IN SHARE MODE")
        .await
        .unwrap();
    let running = begin(&first, &buyer, &body);
    eventually("the first waits for the lock", || async {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'outbox'::regclass
                AND mode = 'RowExclusiveLock'",
        )
        .fetch_one(&world.db)
        .await
        .unwrap();
        (waiting > 0).then_some(())
    })
    .await;
    let answer = second.post_with_key(&buyer, "k", &body).await;
    answer.assert_problem(409);
    assert_eq!(answer.header("retry-after"), Some("1"));
    stop.rollback().await.unwrap();

    let placed = running.await.unwrap();
    assert_eq!(placed.status, 201, "{placed:?}");
    assert_eq!(
        second.post_with_key(&buyer, "k", &body).await.body,
        placed.body
    );
    assert_eq!(world.count("orders").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_does_not_block_its_key() {
    let world = World::new().await;
    let orders = Arc::new(world.serve(&[]).await);
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let body = wish(&[(lamp, 1)]);

    let hold = world.catalog.hold();
    let first = begin(&orders, &buyer, &body);
    world.catalog.called(1).await;
    first.abort();
    drop(hold);
    let answer = eventually("the key is free", || async {
        let answer = orders.post_with_key(&buyer, "k", &body).await;
        (answer.status != 409).then_some(answer)
    })
    .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(world.count("orders").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_remembered() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), Uuid::now_v7());
    let body = wish(&[(lamp, 1)]);
    orders
        .post_with_key(&buyer, "k", &body)
        .await
        .assert_problem(422);
    orders
        .post_with_key(&buyer, "k", &json!({}))
        .await
        .assert_problem(422);
    world.catalog.set_price(lamp, 100, "EUR");
    world.catalog.fail(Some(tonic::Status::unavailable("away")));
    orders
        .post_with_key(&buyer, "k", &body)
        .await
        .assert_problem(503);
    world.catalog.fail(None);
    let answer = orders.post_with_key(&buyer, "k", &body).await;
    assert_eq!(
        (answer.status, answer.header("idempotency-replayed")),
        (201, None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_given_again_while_the_catalogue_is_away() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let body = wish(&[(lamp, 1)]);
    let first = orders.post_with_key(&buyer, "k", &body).await;
    world.catalog.fail(Some(tonic::Status::unavailable("away")));
    assert_eq!(
        orders.post_with_key(&buyer, "k", &body).await.body,
        first.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_keys_are_refused() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let body = wish(&[(lamp, 1)]);
    for key in ["", &"k".repeat(256), "a\tb", "ключ"] {
        orders
            .post_with_key(&buyer, key, &body)
            .await
            .assert_problem(400);
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    orders
        .post_raw(&buyer, &twice, body.to_string())
        .await
        .assert_problem(400);
    for key in ["a", &"k".repeat(255), "with space ~!\""] {
        assert_eq!(
            orders.post_with_key(&buyer, key, &body).await.status,
            201,
            "{key}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_forgotten_after_their_time() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let body = wish(&[(lamp, 1)]);
    let old = orders.post_with_key(&buyer, "old", &body).await;
    let young = orders.post_with_key(&buyer, "young", &body).await;
    let aged =
        "UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE key = 'old'";
    world.db.execute(aged).await.unwrap();
    orders.stop().await;

    let orders = world.serve(&[]).await;
    eventually("the old key is gone", || async {
        (world.count("idempotency_keys").await == 1).then_some(())
    })
    .await;
    assert_ne!(
        orders.post_with_key(&buyer, "old", &body).await.body,
        old.body
    );
    assert_eq!(
        orders.post_with_key(&buyer, "young", &body).await.body,
        young.body
    );
}
