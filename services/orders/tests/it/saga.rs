//! What products decides, and what happens when it does not.

use std::collections::HashSet;

use contracts::testing::{Someone, customer};
use envelope::Event;
use messaging::Message;
use serde_json::json;
use sqlx::Executor;
use uuid::Uuid;

use contracts::events::{StockRejected, StockReleased, StockReserved};

use crate::app::{Service, World, eventually};
use crate::broker::DEAD_LETTERS;

#[tokio::test(flavor = "multi_thread")]
async fn reserved_stock_confirms_the_order() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 3).await;
    let answer = world.broker.reserved(order_id).await;

    let order = orders.until_status(&buyer, order_id, "confirmed").await;
    assert_eq!(order.get("reason"), None);
    assert!(order["updated_at"].as_str() > order["created_at"].as_str());

    let told = &world.broker.events(order_id, 2).await[1];
    assert_eq!(told.event_type(), "agora.order.confirmed.v1");
    assert_eq!(told.sequence(), 2);
    assert_eq!(told.header("ce_correlationid"), order_id.to_string());
    assert_eq!(told.header("ce_causationid"), answer.id.to_string());
    assert_eq!(
        told.data(),
        json!({"order_id": order_id, "user_id": buyer.id, "total_amount": 300, "currency": "EUR"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_stock_rejects_the_order_with_its_reason() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 3).await;
    let answer = world.broker.rejected(order_id, "2 of 3 lamps left").await;

    let order = orders.until_status(&buyer, order_id, "rejected").await;
    assert_eq!(order["reason"], "2 of 3 lamps left");
    let told = &world.broker.events(order_id, 2).await[1];
    assert_eq!(told.event_type(), "agora.order.rejected.v1");
    assert_eq!(told.sequence(), 2);
    assert_eq!(told.header("ce_causationid"), answer.id.to_string());
    assert_eq!(
        told.data(),
        json!({"order_id": order_id, "user_id": buyer.id, "reason": "2 of 3 lamps left"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_counts_once_however_often_it_comes() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    let answer = world.broker.reserved(order_id).await;
    // Delivered twice; said again under a new id; and a change of mind, which comes too late.
    world.broker.answer(answer).await;
    world.broker.reserved(order_id).await;
    world.broker.rejected(order_id, "no").await;
    settle(&world, &orders, &buyer, lamp).await;

    let order = orders.order(&buyer, order_id).await;
    assert_eq!(order["status"], "confirmed");
    let told: Vec<_> = world
        .broker
        .events(order_id, 2)
        .await
        .iter()
        .map(|r| r.event_type().to_owned())
        .collect();
    assert_eq!(told, ["agora.order.placed.v1", "agora.order.confirmed.v1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_in_the_inbox_has_no_effect() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    // The order's status alone would let this one pass.
    let answer = Event::new(StockReserved { order_id });
    sqlx::query("INSERT INTO inbox (consumer, event_id) VALUES ('orders', $1)")
        .bind(answer.id)
        .execute(&world.db)
        .await
        .unwrap();
    world.broker.answer(answer).await;
    settle(&world, &orders, &buyer, lamp).await;
    let order = orders.order(&buyer, order_id).await;
    assert_eq!(order["status"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_parked_and_holds_up_nobody() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    world
        .broker
        .publish(Message::new("no event at all").with_key("k"))
        .await;
    let mut wrong = Event::new(StockReserved { order_id })
        .to_binary("ce_")
        .unwrap();
    wrong.body = "{\"order_id\": 7}".into();
    let key = Some("k".to_owned());
    world
        .broker
        .publish(Message {
            key,
            headers: wrong.headers,
            payload: wrong.body,
        })
        .await;
    // PostgreSQL's text cannot hold this reason.
    world.broker.rejected(order_id, "nul \0").await;
    world.broker.reserved(order_id).await;

    orders.until_status(&buyer, order_id, "confirmed").await;
    let parked = world.broker.parked(3).await;
    assert_eq!(parked.len(), 3, "{parked:?}");
    assert!(
        parked
            .iter()
            .all(|record| record.topic == DEAD_LETTERS && !record.header("dlq_reason").is_empty())
    );
}

/// Only products decides about stock, whoever else may write to its topic.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_of_anybody_else_is_parked() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    let mut forged = Event::new(StockRejected {
        order_id,
        reason: "none left".to_owned(),
    });
    forged.source = "/services/users".to_owned();
    world.broker.answer(forged).await;
    world.broker.reserved(order_id).await;

    orders.until_status(&buyer, order_id, "confirmed").await;
    let parked = world.broker.parked(1).await;
    let reason = parked[0].header("dlq_reason");
    assert!(reason.contains("from /services/products only"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_about_other_orders_and_of_other_types_are_ignored() {
    let world = World::new().await;
    let orders = world.serve(&[]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;
    world.broker.reserved(Uuid::now_v7()).await;
    world
        .broker
        .answer(Event::new(StockReleased { order_id }))
        .await;
    let mut tomorrow = Event::new(StockReserved { order_id });
    tomorrow.event_type = "agora.stock.reserved.v9".to_owned();
    world.broker.answer(tomorrow).await;
    settle(&world, &orders, &buyer, lamp).await;
    let order = orders.order(&buyer, order_id).await;
    assert_eq!(order["status"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overdue_order_is_asked_for_again_and_counts_once() {
    let world = World::new().await;
    // Two replicas: each overdue order is asked for by one of them.
    let settings = [("--saga-deadline", "1s")];
    let (orders, _other) = (world.serve(&settings).await, world.serve(&settings).await);
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 2).await;

    let told = world.broker.events(order_id, 3).await;
    assert!(
        told.iter()
            .all(|event| event.event_type() == "agora.order.placed.v1")
    );
    assert_eq!(
        told.iter()
            .map(|event| event.sequence())
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_ne!(told[0].header("ce_id"), told[1].header("ce_id"));
    assert_eq!(told[1].data(), told[0].data());
    assert_eq!(told[1].header("ce_correlationid"), order_id.to_string());
    assert!(!told[1].headers.contains_key("ce_causationid"));
    let traces: HashSet<_> = told
        .iter()
        .map(|event| event.header("ce_traceparent")[3..35].to_owned())
        .collect();
    assert_eq!(
        traces.len(),
        told.len(),
        "each asking is a trace of its own"
    );
    // The wait doubles: one second, then two. An event is younger than the decision to tell it, on a busy machine by more than
    // a moment; the first one is made beside its order, so it is what the others are measured from.
    let time = |n: usize| {
        told[n]
            .header("ce_time")
            .parse::<chrono::DateTime<chrono::Utc>>()
            .unwrap()
    };
    assert!((time(1) - time(0)).num_milliseconds() > 500);
    assert!((time(2) - time(0)).num_milliseconds() > 2_500);

    // Asked three times, products answers three times.
    for _ in 0..3 {
        world.broker.reserved(order_id).await;
    }
    orders.until_status(&buyer, order_id, "confirmed").await;
    settle(&world, &orders, &buyer, lamp).await;
    let confirmed: Vec<_> = world
        .broker
        .events(order_id, 4)
        .await
        .into_iter()
        .filter(|event| event.event_type() == "agora.order.confirmed.v1")
        .collect();
    assert_eq!(confirmed.len(), 1);
    assert_eq!(confirmed[0].sequence(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_being_changed_is_left_for_later() {
    let world = World::new().await;
    let orders = world.serve(&[("--saga-deadline", "200ms")]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let (changing, other) = (
        orders.place(&buyer, lamp, 1).await,
        orders.place(&buyer, lamp, 1).await,
    );
    let mut change = world.db.begin().await.unwrap();
    // Each event has the next number, also one that is still on its way to the broker.
    let asked: i64 = sqlx::query_scalar("SELECT version FROM orders WHERE id = $1 FOR UPDATE")
        .bind(changing)
        .fetch_one(&mut *change)
        .await
        .unwrap();
    let asked = usize::try_from(asked).unwrap();
    // Both are overdue several times over; the sweeper neither waits for the one nor forgets it.
    world.broker.events(other, asked + 3).await;
    assert_eq!(world.broker.events(changing, asked).await.len(), asked);
    change.rollback().await.unwrap();
    let told = world.broker.events(changing, asked + 2).await;
    let sequences: Vec<_> = told.iter().map(|event| event.sequence()).collect();
    assert_eq!(sequences, (1..=told.len() as u64).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decided_order_is_not_asked_for_again() {
    let world = World::new().await;
    let orders = world.serve(&[("--saga-deadline", "200ms")]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let decided = orders.place(&buyer, lamp, 1).await;
    world.broker.reserved(decided).await;
    orders.until_status(&buyer, decided, "confirmed").await;
    // Each event has the next number, also one that is still on its way to the broker.
    let told: i64 = sqlx::query_scalar("SELECT version FROM orders WHERE id = $1")
        .bind(decided)
        .fetch_one(&world.db)
        .await
        .unwrap();
    let told = usize::try_from(told).unwrap();
    // Nor does one that cannot be read hold up those behind it.
    let unreadable = orders.place(&buyer, lamp, 1).await;
    sqlx::query("UPDATE orders SET shipping_address = '{}' WHERE id = $1")
        .bind(unreadable)
        .execute(&world.db)
        .await
        .unwrap();
    // An order placed later is asked for twice more, so the sweeper has been past the decided one.
    let waiting = orders.place(&buyer, lamp, 1).await;
    world.broker.events(waiting, 3).await;
    assert_eq!(world.broker.events(decided, told).await.len(), told);
}

/// Waits until every decision that was published before has been taken in: there is one partition, so one
/// that comes later is taken in later.
async fn settle(world: &World, orders: &Service, buyer: &Someone, product: Uuid) {
    let last = orders.place(buyer, product, 1).await;
    world.broker.reserved(last).await;
    orders.until_status(buyer, last, "confirmed").await;
    world.broker.events(last, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_leaves_connections_for_those_who_ask() {
    let world = World::with_stock_partitions(12).await;
    let orders = world.serve(&[("--database-max-connections", "4")]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let mut placed = Vec::new();
    for _ in 0..30 {
        placed.push(orders.place(&buyer, lamp, 1).await);
    }
    let mut lock = world.db.begin().await.unwrap();
    lock.execute("SELECT FROM orders FOR UPDATE").await.unwrap();
    // Some for each partition: none of them gets any further than to the lock, in a connection of its own.
    for order_id in &placed {
        world.broker.reserved(*order_id).await;
    }
    eventually("a decision waits for the lock", || async {
        let held = "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'orders' AND wait_event_type = 'Lock'";
        let held: i64 = sqlx::query_scalar(held)
            .fetch_one(&world.db)
            .await
            .unwrap();
        (held > 0).then_some(())
    })
    .await;
    for order_id in &placed {
        assert_eq!(orders.order(&buyer, *order_id).await["status"], "pending");
    }
    lock.rollback().await.unwrap();
    for order_id in placed {
        orders.until_status(&buyer, order_id, "confirmed").await;
    }
}
