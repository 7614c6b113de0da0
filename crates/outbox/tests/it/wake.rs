//! When the relay looks: at a wake, and now and then by itself.

use std::time::Duration;

use outbox::{Outbox, RelayOptions};

use crate::broker::{Broker, gated};
use crate::fixture::{Relay, Service, count_in, pool, topic, woken};

/// Nobody polls for an hour, so what arrives was told of: one after the other, each in a new pass.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_told_and_sent() {
    let service = Service::start().await;
    let broker = Broker::new();
    let relay = service.relay(broker.clone(), woken()).await;
    for n in 1..=50 {
        service.count(&format!("key-{}", n % 7)).await;
        broker.accepts("the event", |seen| seen.len() == n).await;
    }
    relay.stop().await;
}

/// The wake comes while the pass is on its way and has read its rows: it must not be lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wake_in_the_middle_of_a_pass_is_not_lost() {
    let service = Service::start().await;
    let (broker, gate) = gated();
    let relay = service.relay(broker.clone(), woken()).await;
    for n in 1..=20 {
        service.count("a").await;
        broker
            .tries("the pass to be on its way", |seen| seen.len() == 2 * n - 1)
            .await;
        service.count("a").await;
        gate.add_permits(2);
        broker.accepts("both", |seen| seen.len() == 2 * n).await;
    }
    relay.stop().await;
}

/// Two processes: one is in the middle of a pass when the other commits for the same lane. The one that
/// was woken finds the lane busy; the one that holds it was not woken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_was_busy_is_looked_at_again() {
    let service = Service::start().await;
    let (broker, gate) = gated();
    let mine = service.relay(broker.clone(), woken()).await;
    let other_outbox = Outbox::new();
    let other = Relay::start(
        pool(&service.url, 4).await,
        other_outbox.clone(),
        broker.clone(),
        woken(),
    );
    for n in 1..=10 {
        service.count("a").await;
        broker
            .tries("the pass to be on its way", |seen| seen.len() == 2 * n - 1)
            .await;
        let mut tx = other_outbox.begin(&service.pool).await.unwrap();
        count_in(&mut tx, &[topic()], "a").await;
        tx.commit().await.unwrap();
        gate.add_permits(2);
        broker.accepts("both", |seen| seen.len() == 2 * n).await;
    }
    mine.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_nobody_told_of_is_found_by_polling() {
    let service = Service::start().await;
    let broker = Broker::new();
    let options = RelayOptions {
        poll: Duration::from_millis(10),
        ..RelayOptions::default()
    };
    // Another process: nothing that happens here wakes it.
    let relay = Relay::start(
        pool(&service.url, 4).await,
        Outbox::new(),
        broker.clone(),
        options,
    );
    for n in 1..=5 {
        service.count("a").await;
        broker.accepts("the event", |seen| seen.len() == n).await;
    }
    relay.stop().await;
}
