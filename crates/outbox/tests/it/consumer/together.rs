//! What partitions and consumers share: a transaction, and the pool.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use messaging::{Delivery, Handler};
use tokio::sync::Semaphore;

use super::{Tally, consumer, consumers, counted, delivery};
use crate::fixture::{Service, eventually, pool};

/// Delivers to one consumer at once what four partitions hold: the first of them alone, since nothing is under way, then the
/// others while the first one's transaction is. Returns how each went, and how many events came together.
async fn deliver_at_once(tally: Tally, partitions: [Delivery; 4]) -> (Vec<bool>, Vec<usize>) {
    let service = Service::start().await;
    let (gate, batches) = (tally.gate.clone(), tally.batches.clone());
    let held = gate.clone().acquire_many_owned(1000).await.unwrap();
    let consumer = consumer(&service, tally);
    let mut partitions = partitions.into_iter();
    let start = |delivery: Delivery| {
        let consumer = consumer.clone();
        tokio::spawn(async move { consumer.handle(&delivery).await.is_ok() })
    };
    let mut handled: Vec<_> = partitions.by_ref().take(1).map(start).collect();
    eventually("the first transaction to begin", || async {
        batches.lock().len() == 1
    })
    .await;
    handled.extend(partitions.map(start));
    // In one thread: each has come as far as it can before this goes on.
    tokio::task::yield_now().await;
    drop(held);
    let mut went = Vec::new();
    for handled in handled {
        // A panic is a failure.
        went.push(handled.await.unwrap_or(false));
    }
    let batches = batches.lock().clone();
    (went, batches)
}

#[tokio::test]
async fn partitions_share_the_transaction_that_follows_the_one_under_way() {
    let partitions = ["a", "b", "c", "d"].map(|key| delivery(&counted(key, 1)));
    let (went, batches) = deliver_at_once(Tally::default(), partitions).await;
    assert_eq!((went, batches), (vec![true; 4], vec![1, 3]));
}

#[tokio::test]
async fn who_shares_a_transaction_with_poison_takes_effect_all_the_same() {
    // No text of PostgreSQL has a zero byte.
    for poison in ["poi\0son", "bug"] {
        let partitions = ["a", "b", poison, "d"].map(|key| delivery(&counted(key, 1)));
        let (went, batches) = deliver_at_once(Tally::default(), partitions).await;
        assert_eq!(went, [true, true, false, true], "{poison:?}");
        assert_eq!(batches, [1, 3, 1, 1, 1], "once together, then each alone");
    }
}

#[tokio::test]
async fn nobody_shares_a_transaction_with_what_has_failed_before() {
    let mut partitions = ["a", "b", "c", "d"].map(|key| delivery(&counted(key, 1)));
    partitions[1].failed_in_batch = true;
    partitions[2].attempt = 2;
    let (went, batches) = deliver_at_once(Tally::default(), partitions).await;
    assert_eq!((went, batches), (vec![true; 4], vec![1; 4]));
}

/// All partitions have a backlog, in five consumers of one service.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn consumers_together_hold_a_third_of_the_pool() {
    let service = Service::start().await;
    let nine = pool(&service.url, 9).await;
    let consumers = consumers(&nine, &service.outbox);
    let gate = Arc::new(Semaphore::new(0));
    let held = ["1", "2", "3", "4", "5"].map(|name| {
        let tally = Tally {
            gate: gate.clone(),
            ..Tally::default()
        };
        let max = tally.inside_max.clone();
        (consumers.idempotent(name, tally), max)
    });
    let mut handled = Vec::new();
    for (consumer, _) in &held {
        for n in 0..4 {
            let (consumer, event) = (consumer.clone(), delivery(&counted(&n.to_string(), 1)));
            handled.push(tokio::spawn(async move { consumer.handle(&event).await }));
        }
    }
    let inside = || -> usize {
        held.iter()
            .map(|(_, max)| max.load(Ordering::Relaxed))
            .sum()
    };
    eventually("a third of the pool to be taken", || async {
        inside() >= 3
    })
    .await;
    // All of the others are free for somebody else.
    let mut others = Vec::new();
    for _ in 0..6 {
        others.push(nine.acquire().await.unwrap());
    }
    assert_eq!(inside(), 3);
    drop(others);
    gate.add_permits(100);
    for handled in handled {
        handled.await.unwrap().unwrap();
    }
    assert_eq!(service.pending().await, 20);
}
