//! What comes again takes effect once.

use std::sync::Arc;
use std::time::Duration;

use envelope::{Event, TraceContext};
use messaging::{Handler, HandlerError};
use outbox::Outbox;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::Semaphore;
use tracing::Span;

use super::{Tally, consumer, consumers, count, counted, deliver, delivery, effects};
use crate::broker::Broker;
use crate::fixture::{NEVER, Service, eventually, woken};
use crate::payloads::{Renamed, Unheard};

#[tokio::test]
async fn an_event_that_comes_three_times_takes_effect_once() {
    const EVENTS: usize = 40;
    let service = Service::start().await;
    let tally = Tally::default();
    let batches = tally.batches.clone();
    let consumer = consumer(&service, tally);
    let events: Vec<_> = (0..EVENTS)
        .map(|n| delivery(&counted(&format!("key-{}", n % 8), 1)))
        .collect();
    // Twice in one batch, and once more one by one.
    let twice: Vec<_> = events.iter().chain(&events).cloned().collect();
    assert!(deliver(&consumer, &twice).await.is_empty());
    for event in &events {
        consumer.handle(event).await.unwrap();
    }
    for key in 0..8 {
        assert_eq!(effects(&service, &format!("key-{key}")).await, 5);
    }
    assert_eq!(count(&service, "count(*) FROM inbox").await, EVENTS as i64);
    assert_eq!(service.pending().await, EVENTS as i64);
    assert_eq!(*batches.lock(), [EVENTS], "in one transaction");
}

/// As when a partition changes hands while its last owner is still at work.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn copies_that_meet_take_effect_once() {
    let service = Service::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let event = delivery(&counted("a", 1));
    let copies: Vec<_> = (0..3)
        .map(|_| {
            let tally = Tally {
                gate: gate.clone(),
                ..Tally::default()
            };
            // Of replicas: those of one process share a transaction.
            let (replica, event) = (consumer(&service, tally), event.clone());
            tokio::spawn(async move { replica.handle(&event).await })
        })
        .collect();
    // The others wait for the first one's inbox row.
    eventually("two copies to wait", || async {
        let waiting = "count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        count(&service, waiting).await == 2
    })
    .await;
    gate.add_permits(1);
    for copy in copies {
        copy.await.unwrap().unwrap();
    }
    assert_eq!(effects(&service, "a").await, 1);
    assert_eq!(service.pending().await, 1);
}

/// There is no database at all, so whatever asked it would fail.
#[tokio::test]
async fn events_of_other_types_cost_no_transaction() {
    let nowhere = PgPoolOptions::new()
        .acquire_timeout(Duration::from_millis(50))
        .connect_lazy("postgres://nobody@127.0.0.1:1/none")
        .unwrap();
    let consumer = consumers(&nowhere, &Outbox::new()).idempotent("tally", Tally::default());
    let unheard = delivery(&Event::new(Unheard {}));
    assert!(
        deliver(&consumer, &[unheard.clone(), unheard])
            .await
            .is_empty()
    );
    let error = consumer
        .handle(&delivery(&counted("a", 1)))
        .await
        .unwrap_err();
    assert!(matches!(error, HandlerError::Transient(_)), "{error:?}");
}

#[tokio::test]
async fn an_event_that_is_idempotent_by_itself_leaves_no_inbox_row() {
    let service = Service::start().await;
    let consumer = consumer(&service, Tally::default());
    let renamed = delivery(&Event::new(Renamed { key: "a".into() }));
    let batch = [renamed.clone(), delivery(&counted("a", 1)), renamed];
    for _ in 0..2 {
        assert!(deliver(&consumer, &batch).await.is_empty());
    }
    // Twice in each of two rounds, and once what is counted.
    assert_eq!(effects(&service, "a").await, 5);
    assert_eq!(count(&service, "count(*) FROM inbox").await, 1);
}

#[tokio::test]
async fn what_follows_is_sent_at_once_in_the_trace_of_the_work() {
    const OF_WORK: &str = "00-0af7651916cd43dd8448eb211c80319c-00000000000000ff-01";
    let service = Service::start().await;
    let broker = Broker::new();
    // It looks for rows once an hour.
    assert_eq!(woken().poll, NEVER);
    let relay = service.relay(broker.clone(), woken()).await;
    let consumers = consumers(&service.pool, &service.outbox).traced(
        |name, headers| {
            assert_eq!(name, "counts process");
            assert!(headers.iter().any(|(name, _)| name == "ce_traceparent"));
            Span::none()
        },
        |_| TraceContext {
            traceparent: Some(OF_WORK.to_owned()),
            tracestate: None,
        },
    );
    let event = counted("a", 1).with_trace(TraceContext {
        traceparent: Some(OF_WORK.replace("ff", "01")),
        tracestate: None,
    });
    let consumer = consumers.idempotent("tally", Tally::default());
    consumer.handle(&delivery(&event)).await.unwrap();
    broker.accepts("the answer", |seen| seen.len() == 1).await;
    relay.stop().await;
    let answer = broker.accepted().remove(0).message;
    assert_eq!(answer.header("traceparent"), Some(OF_WORK));
    let cause = event.id.to_string();
    assert_eq!(answer.header("ce_causationid"), Some(cause.as_str()));
}
