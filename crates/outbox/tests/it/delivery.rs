//! At least once: a row is there until the broker has said yes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::broker::{Broker, Seen, gated};
use crate::fixture::{Relay, Service, eventually, pool, topic, woken};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_is_gone_only_after_the_ack() {
    let service = Service::start().await;
    let (broker, gate) = gated();
    let relay = service.relay(broker.clone(), woken()).await;
    service.count("a").await;
    broker
        .tries("a publication in flight", |seen| seen.len() == 1)
        .await;
    assert_eq!(service.pending().await, 1);
    gate.add_permits(1);
    service.until_empty().await;
    relay.stop().await;
    assert_eq!(broker.numbers("a"), [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_finishes_the_pass_in_hand() {
    let service = Service::start().await;
    let (broker, gate) = gated();
    let relay = service.relay(broker.clone(), woken()).await;
    service.count("a").await;
    broker
        .tries("a publication in flight", |seen| seen.len() == 1)
        .await;
    relay.shutdown.cancel();
    tokio::task::yield_now().await;
    assert!(!relay.task.is_finished());
    gate.add_permits(1);
    relay.stop().await;
    assert_eq!(
        service.pending().await,
        0,
        "acknowledged, so it was deleted before the relay ended"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_dies_before_the_ack_loses_nothing() {
    let service = Service::start().await;
    let (stuck, _gate) = gated();
    let relay = service.relay(stuck.clone(), woken()).await;
    service.count("a").await;
    service.count("a").await;
    stuck
        .tries("a publication in flight", |seen| !seen.is_empty())
        .await;
    relay.kill().await;

    let broker = Broker::new();
    let relay = service.relay(broker.clone(), woken()).await;
    service.until_empty().await;
    relay.stop().await;
    assert_eq!(broker.numbers("a"), [1, 2]);
}

/// The broker has the message, the relay's connection dies before the deletion: sent again, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_ack_and_deletion_repeats_and_never_loses() {
    let service = Service::start().await;
    let admin = pool(&service.url, 1).await;
    let crashed = Arc::new(AtomicBool::new(false));
    let broker = Broker::that(move |seen: Seen| {
        let (admin, crashed) = (admin.clone(), Arc::clone(&crashed));
        async move {
            if seen.n == 3 && !crashed.swap(true, Ordering::SeqCst) {
                // Whoever holds a lane is a relay in the middle of a pass.
                sqlx::query("SELECT pg_terminate_backend(pid) FROM lane_locks")
                    .execute(&admin)
                    .await
                    .unwrap();
            }
            Ok(())
        }
    });
    for _ in 0..5 {
        service.count("a").await;
    }
    let relay = service.relay(broker.clone(), woken()).await;
    service.until_empty().await;
    relay.stop().await;
    let all = broker.numbers("a");
    // On a busy machine the pass that crashes may be over before it has come to the end.
    let (first, again) = all.split_at(all.len() - 5);
    let in_order = [1, 2, 3, 4, 5].starts_with(first);
    assert!(first.len() >= 3 && in_order, "{all:?}");
    assert_eq!(again, [1, 2, 3, 4, 5], "the whole pass is repeated");
}

/// Longer than a pass may take, one after the other: lanes change hands in the middle of a key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_broker_gets_everything_once_and_in_order() {
    let service = Service::start().await;
    let broker = Broker::that(|_| async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        Ok(())
    });
    for _ in 0..10 {
        service.count("a").await;
        service.count("b").await;
    }
    let relays = [
        service.relay(broker.clone(), woken()).await,
        service.relay(broker.clone(), woken()).await,
    ];
    service.until_empty().await;
    for relay in relays {
        relay.stop().await;
    }
    assert_eq!(broker.numbers("a"), (1..=10).collect::<Vec<_>>());
    assert_eq!(broker.numbers("b"), (1..=10).collect::<Vec<_>>());
}

/// A broker that hangs must not take the connections that requests need.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_broker_leaves_connections_to_others() {
    let service = Service::start().await;
    for n in 0..16 {
        service.count(&format!("key-{n}")).await;
    }
    for connections in [2, 4] {
        let (broker, gate) = gated();
        let small = pool(&service.url, connections).await;
        let relay = Relay::start(
            small.clone(),
            service.outbox.clone(),
            broker.clone(),
            woken(),
        );
        broker
            .tries("publications in flight", |seen| seen.len() == 16)
            .await;
        // Would wait for its timeout and fail if the relay had them all.
        sqlx::query("SELECT 1").execute(&small).await.unwrap();
        drop(gate);
        relay.kill().await;
        eventually("the lanes to be free", || async {
            let held: i64 = sqlx::query_scalar("SELECT count(*) FROM lane_locks")
                .fetch_one(&service.pool)
                .await
                .unwrap();
            held == 0
        })
        .await;
    }
    assert_eq!(service.pending().await, 16);
}

/// Somebody else wrote it, in another language and against the form: it waits alone, and not with all others of its lanes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_cannot_be_read_keeps_no_other_waiting() {
    let service = Service::start().await;
    sqlx::query(
        "INSERT INTO outbox (lane, destination, key, headers, payload)
         SELECT lane, $1, 'bad', '{\"ce_id\": 1}', '{}' FROM generate_series(0, 15) AS lane",
    )
    .bind(topic().to_string())
    .execute(&service.pool)
    .await
    .unwrap();
    let broker = Broker::new();
    let relay = service.relay(broker.clone(), woken()).await;
    for n in 0..16 {
        service.count(&format!("key-{n}")).await;
    }
    broker.accepts("the others", |seen| seen.len() == 16).await;
    eventually("only what cannot be read", || async {
        service.pending().await == 16
    })
    .await;
    relay.stop().await;
}

/// Destinations of what the broker has, as [`RelayOptions::published`] is told: it is a function without a state.
static PUBLISHED: parking_lot::Mutex<Vec<String>> = parking_lot::Mutex::new(Vec::new());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_once_a_message_is_published_is_done_after_the_ack() {
    let service = Service::start().await;
    let (broker, gate) = gated();
    let options = outbox::RelayOptions {
        published: |destination, headers| {
            let is_ours = headers.iter().any(|(name, _)| name == "ce_id");
            let destination = destination.to_owned();
            is_ours.then(|| -> Box<dyn FnOnce() + Send> {
                Box::new(move || PUBLISHED.lock().push(destination))
            })
        },
        ..woken()
    };
    let relay = service.relay(broker.clone(), options).await;
    service.count("a").await;
    broker
        .tries("a publication in flight", |seen| seen.len() == 1)
        .await;
    assert!(PUBLISHED.lock().is_empty());
    gate.add_permits(1);
    service.until_empty().await;
    relay.stop().await;
    assert_eq!(PUBLISHED.lock().len(), 1);
}
