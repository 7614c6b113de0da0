//! What is tried again and what is parked.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use embedded::testing::Link;
use envelope::Event;
use messaging::{Handler, HandlerError, MAX_PANICS, Message};
use tokio::sync::Semaphore;

use super::{Tally, consumer, consumers, count, counted, deliver, delivery, effects, of};
use crate::broker::PATIENCE;
use crate::fixture::{Service, eventually, pool};
use crate::payloads::Forged;

/// The database's host is gone without a word, in the middle of a transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_without_an_answer_is_given_up_and_made_again() {
    let service = Service::start().await;
    let (link, url) = Link::to_database(&service.url).await;
    let tally = Tally {
        gate: Arc::new(Semaphore::new(0)),
        ..Tally::default()
    };
    let (gate, at_work) = (tally.gate.clone(), tally.inside_max.clone());
    let consumer = consumers(&pool(&url, 4).await, &service.outbox)
        .answering_within(Duration::from_millis(300))
        .idempotent("tally", tally);
    let event = delivery(&counted("a", 1));
    let first = {
        let (consumer, event) = (consumer.clone(), event.clone());
        tokio::spawn(async move { consumer.handle(&event).await })
    };
    eventually("it to be at work", || async {
        at_work.load(Ordering::Relaxed) == 1
    })
    .await;
    link.silence();
    gate.add_permits(1);
    let first = tokio::time::timeout(PATIENCE, first).await;
    let error = first.expect("it ends").unwrap().unwrap_err();
    assert!(matches!(error, HandlerError::Transient(_)), "{error:?}");
    link.mend();
    eventually("it to be made again", || async {
        consumer.handle(&event).await.is_ok()
    })
    .await;
    assert_eq!(effects(&service, "a").await, 1);
}

#[tokio::test]
async fn poison_among_good_events_is_parked_alone() {
    let service = Service::start().await;
    let consumer = consumer(&service, Tally::default());
    let good = |n| delivery(&counted("good", n));
    let mut unreadable = good(1);
    unreadable.message.payload = "{not json".into();
    let mut misshapen = good(1);
    misshapen.message.payload = r#"{"key": 7}"#.into();
    let forged = Event::new(Forged {
        key: "good".into(),
        n: 1,
    });
    let batch = [
        good(1),
        of(Message::new("no event at all")),
        unreadable,
        good(2),
        misshapen,
        delivery(&forged),
        delivery(&counted("good", 0)),
        good(3),
    ];
    assert_eq!(deliver(&consumer, &batch).await, [1, 2, 4, 5, 6]);
    assert_eq!(effects(&service, "good").await, 3);

    let reason = async |n: usize| {
        let error = consumer.handle(&batch[n]).await.unwrap_err();
        error.to_string()
    };
    assert!(reason(5).await.contains("comes from /services/test only"));
    assert_eq!(reason(6).await, "nothing was counted");
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_stays_is_parked() {
    const LONG: u32 = 1_000_000;
    let service = Service::start().await;
    // What happens in the transaction, and the try from which on the event is parked.
    for (first, parked_from) in [
        ("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$", None),
        ("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$", None),
        ("SET LOCAL statement_timeout = 1; SELECT pg_sleep(9)", None),
        ("SELECT pg_terminate_backend(pg_backend_pid())", None),
        ("SELECT * FROM no_such_table", None),
        ("SET TRANSACTION READ ONLY; DELETE FROM counter", None),
        ("SELECT 'x'::int", Some(1)),
        ("INSERT INTO counter VALUES ('a', NULL)", Some(1)),
        (
            "INSERT INTO counter VALUES ('a', 1), ('a', 1)",
            Some(MAX_PANICS),
        ),
        ("DO $$ BEGIN RAISE 'no idea'; END $$", Some(MAX_PANICS)),
    ] {
        let consumer = consumer(
            &service,
            Tally {
                first,
                ..Tally::default()
            },
        );
        let mut event = delivery(&counted("a", 1));
        for attempt in [1, MAX_PANICS - 1, MAX_PANICS, LONG] {
            event.attempt = attempt;
            let error = consumer.handle(&event).await.unwrap_err();
            let parked = matches!(error, HandlerError::Permanent(_));
            let expected = parked_from.is_some_and(|from| attempt >= from);
            assert_eq!(parked, expected, "{first}, try {attempt}: {error}");
        }
    }
    assert_eq!(
        count(&service, "count(*) FROM inbox").await,
        0,
        "rolled back"
    );
}
