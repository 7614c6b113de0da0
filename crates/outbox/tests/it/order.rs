//! Order within an aggregate, and independence of aggregates.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use envelope::Event;
use messaging::{Destination, PublishError};
use outbox::RelayOptions;

use crate::broker::{Broker, Seen, away};
use crate::fixture::{Counted, NEVER, Service, count_in, eventually, queue, topic, woken};

/// Cheap numbers that look random and are the same in every run.
pub(crate) fn noise(seed: u64) -> u64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    x ^= x >> 29;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^ (x >> 32)
}

fn assert_in_order(seen: &[Seen], keys: u64, each: u64) {
    let mut numbers: HashMap<&str, Vec<u64>> = HashMap::new();
    for seen in seen {
        let numbers = numbers.entry(&seen.key).or_default();
        // Again is allowed, before its turn is not.
        if !numbers.contains(&seen.n) {
            numbers.push(seen.n);
        }
    }
    assert_eq!(numbers.len() as u64, keys);
    for (key, numbers) in numbers {
        assert_eq!(numbers, (1..=each).collect::<Vec<_>>(), "{key}");
    }
}

/// Two relays, eight writers that race for twelve aggregates; transactions commit late, so that ids do
/// not become visible in order, and some roll back. Nobody polls: a lost wake would hang this test.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn events_of_an_aggregate_keep_their_order() {
    const WRITERS: u64 = 8;
    const KEYS: u64 = 12;
    const EACH: u64 = 50;
    let service = Arc::new(Service::start().await);
    // Acknowledgements that take differently long, so that an order which is not kept shows.
    let broker = Broker::that(|seen: Seen| async move {
        tokio::time::sleep(Duration::from_micros(noise(seen.n) % 3000)).await;
        Ok(())
    });
    // Small batches: many passes, many hand-overs of lanes.
    let options = RelayOptions {
        batch: 20,
        poll: NEVER,
        ..RelayOptions::default()
    };
    let relays = [
        service.relay(broker.clone(), options.clone()).await,
        service.relay(broker.clone(), options).await,
    ];

    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let service = Arc::clone(&service);
            tokio::spawn(async move {
                for turn in 0..KEYS * EACH / WRITERS {
                    let chance = noise(writer << 32 | turn);
                    let key = format!("key-{}", (turn * WRITERS + writer) % KEYS);
                    if chance.is_multiple_of(10) {
                        let mut tx = service.outbox.begin(&service.pool).await.unwrap();
                        count_in(&mut tx, &[topic()], &key).await;
                        tx.rollback().await.unwrap();
                    }
                    let late = tokio::time::sleep(Duration::from_micros(chance % 4000));
                    service.count_to(&[topic()], &key, late).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    service.until_empty().await;
    for relay in relays {
        relay.stop().await;
    }
    let accepted = broker.accepted();
    assert_eq!(
        accepted.len() as u64,
        KEYS * EACH,
        "no failure, so nothing twice"
    );
    assert_in_order(&accepted, KEYS, EACH);
    assert_eq!(
        broker.overlaps.load(Ordering::Relaxed),
        0,
        "the next goes out when the last is acknowledged"
    );
}

/// The backlog of a long outage: each key's rows are spread over many batches.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backlog_is_sent_in_order() {
    let service = Service::start().await;
    for _ in 0..40 {
        for key in 0..10 {
            service.count(&format!("key-{key}")).await;
        }
    }
    let broker = Broker::new();
    let options = RelayOptions {
        batch: 7,
        ..woken()
    };
    let relays = [
        service.relay(broker.clone(), options.clone()).await,
        service.relay(broker.clone(), options).await,
    ];
    broker.accepts("all", |seen| seen.len() >= 400).await;
    for relay in relays {
        relay.stop().await;
    }
    assert_in_order(&broker.accepted(), 10, 40);
}

async fn one_bad_key(error: fn() -> PublishError) {
    let service = Service::start().await;
    let broker = Broker::that(move |seen: Seen| async move {
        if seen.key == "bad" {
            Err(error())
        } else {
            Ok(())
        }
    });
    let relay = service.relay(broker.clone(), woken()).await;
    // Alone at first: nothing else says whether the broker is there.
    service.count("bad").await;
    broker
        .tries("the bad row to be tried again", |seen| seen.len() >= 3)
        .await;
    for turn in 0..20 {
        if turn > 0 {
            service.count("bad").await;
        }
        for key in 0..5 {
            service.count(&format!("good-{key}")).await;
        }
    }
    broker
        .accepts("all good keys", |seen| seen.len() == 100)
        .await;
    broker
        .tries("the bad row to be tried again", |seen| {
            seen.iter().filter(|seen| seen.key == "bad").count() >= 3
        })
        .await;
    assert!(
        broker
            .attempts()
            .iter()
            .filter(|seen| seen.key == "bad")
            .all(|seen| seen.n == 1),
        "nothing overtakes the row that failed"
    );
    eventually("the good keys' rows to be gone", || async {
        service.pending().await == 20
    })
    .await;
    assert!(
        relay.said.lock().iter().all(Result::is_ok),
        "one key is no outage"
    );

    broker.heal();
    service.until_empty().await;
    relay.stop().await;
    assert_eq!(broker.numbers("bad"), (1..=20).collect::<Vec<_>>());
    assert_in_order(&broker.accepted(), 6, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_fails_holds_up_its_key_only() {
    one_bad_key(away).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_rejected_holds_up_its_key_only() {
    one_bad_key(|| PublishError::Rejected("too large".into())).await;
}

/// More rows wait for a dead queue than fit in a batch: the stream must flow past them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_destination_does_not_block_another() {
    let service = Service::start().await;
    let broker = Broker::that(|seen: Seen| async move {
        if seen.destination == "queue:jobs" {
            Err(away())
        } else {
            Ok(())
        }
    });
    for n in 0..60 {
        service
            .count_to(&[queue()], &format!("key-{n}"), async {})
            .await;
    }
    let relay = service
        .relay(
            broker.clone(),
            RelayOptions {
                batch: 10,
                ..woken()
            },
        )
        .await;
    relay
        .until_it_says("the queue to be named", |word| {
            word.as_ref().is_err_and(|why| why.contains("queue:jobs"))
        })
        .await;
    for n in 0..60 {
        service.count(&format!("key-{n}")).await;
    }
    broker
        .accepts("the topic's events", |seen| seen.len() == 60)
        .await;
    broker.heal();
    service.until_empty().await;
    relay.until_it_says("up", Result::is_ok).await;
    relay.stop().await;
    assert_eq!(broker.accepted().len(), 120);
}

/// A topic was deleted: more of its keys are refused than can be held one by one, and all of them are before those of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_topic_does_not_keep_others_from_being_read() {
    // What exceeds the keys that are held fills a batch of each of the two workers.
    const GONE: u64 = 4500;
    let service = Service::start().await;
    let gone = Destination::Topic("gone".into());
    let mut tx = service.outbox.begin(&service.pool).await.unwrap();
    for n in 0..GONE {
        let key = format!("key-{n}");
        tx.tell(&gone, &Event::new(Counted { key, n })).unwrap();
    }
    tx.commit().await.unwrap();
    for n in 0..16 {
        service.count(&format!("key-{n}")).await;
    }
    let broker = Broker::that(|seen: Seen| async move {
        if seen.destination == "topic:gone" {
            Err(PublishError::Rejected("no such topic".into()))
        } else {
            Ok(())
        }
    });
    let relay = service.relay(broker.clone(), woken()).await;
    broker
        .accepts("what is behind", |seen| seen.len() == 16)
        .await;
    relay.until_it_says("no outage", Result::is_ok).await;
    relay.stop().await;
}

/// What is told in one transaction is written in one statement, and sent in the order in which it was told.
#[tokio::test]
async fn events_that_are_told_together_keep_their_order() {
    const EACH: u64 = 100;
    let service = Service::start().await;
    let broker = Broker::new();
    let mut tx = service.outbox.begin(&service.pool).await.unwrap();
    for n in 1..=EACH {
        for key in ["even", "odd"] {
            let key = key.to_owned();
            tx.tell(&topic(), &Event::new(Counted { key, n })).unwrap();
        }
    }
    tx.commit().await.unwrap();
    let relay = service.relay(broker.clone(), woken()).await;
    broker
        .accepts("all of them", |seen| seen.len() as u64 == 2 * EACH)
        .await;
    relay.stop().await;
    assert_in_order(&broker.accepted(), 2, EACH);
}

/// Two relays under load, one of which is killed at a moment that nobody chose, twenty times, and followed by another.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn relays_that_are_killed_again_and_again_lose_and_reorder_nothing() {
    const KEYS: u64 = 12;
    const EACH: u64 = 60;
    const KILLS: u64 = 20;
    const BATCH: u64 = 10;
    let service = Arc::new(Service::start().await);
    let broker = Broker::that(|seen: Seen| async move {
        tokio::time::sleep(Duration::from_micros(noise(seen.n) % 3000)).await;
        Ok(())
    });
    let options = RelayOptions {
        batch: BATCH as usize,
        ..RelayOptions::default()
    };
    let writers: Vec<_> = (0..KEYS)
        .map(|key| {
            let service = Arc::clone(&service);
            tokio::spawn(async move {
                for _ in 0..EACH {
                    service.count(&format!("key-{key}")).await;
                }
            })
        })
        .collect();
    let mut relays = VecDeque::new();
    for _ in 0..2 {
        relays.push_back(service.relay(broker.clone(), options.clone()).await);
    }
    for kill in 0..KILLS {
        // At the start of a batch, in its middle, at its end: after so many more that a broker has been asked to take.
        let tried = broker.attempts().len() + 1 + (noise(kill) % 25) as usize;
        broker
            .tries("more to be published", |log| log.len() >= tried)
            .await;
        relays.pop_front().expect("two").kill().await;
        relays.push_back(service.relay(broker.clone(), options.clone()).await);
    }
    for writer in writers {
        writer.await.unwrap();
    }
    service.until_empty().await;
    for relay in relays {
        relay.stop().await;
    }
    let accepted = broker.accepted();
    assert_in_order(&accepted, KEYS, EACH);
    // Whoever is killed has a batch under way, and nobody else sends what it had.
    let again = accepted.len() as u64 - KEYS * EACH;
    assert!(again <= KILLS * BATCH, "{again}");
}
