//! The idempotent consumer, driven as a broker drives it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use embedded::testing::Link;
use envelope::{Event, TraceContext};
use messaging::{Delivery, Handler, HandlerError, MAX_PANICS, Message};
use outbox::{
    Consumers, EventHandler, Failure, IdempotentConsumer, Outbox, Reads, Received, Transaction,
};
use parking_lot::Mutex;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::Semaphore;
use tracing::Span;

use crate::broker::{Broker, PATIENCE};
use crate::fixture::{Counted, NEVER, Service, eventually, pool, queue, woken};
use crate::payloads::{Forged, Renamed, Unheard};

/// Adds up what it hears of, and tells that it did.
struct Tally {
    /// What to do in the transaction before anything else.
    first: &'static str,
    /// Nobody adds anything up while there are no permits.
    gate: Arc<Semaphore>,
    inside: AtomicUsize,
    inside_max: Arc<AtomicUsize>,
    /// How many events came together.
    batches: Arc<Mutex<Vec<usize>>>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            first: "",
            gate: Arc::new(Semaphore::new(1000)),
            inside: AtomicUsize::new(0),
            inside_max: Arc::default(),
            batches: Arc::default(),
        }
    }
}

enum Heard {
    Counted(Counted),
    Renamed(Renamed),
}

impl EventHandler for Tally {
    type Fact = Heard;

    fn reads() -> Reads<Heard> {
        Reads::new()
            .try_event(|counted: Counted| match counted.n {
                0 => Err("nothing was counted"),
                _ => Ok(Heard::Counted(counted)),
            })
            .idempotent_event(Heard::Renamed)
    }

    async fn apply(
        &self,
        tx: &mut Transaction,
        events: Vec<Received<Heard>>,
    ) -> Result<(), Failure> {
        self.batches.lock().push(events.len());
        let inside = self.inside.fetch_add(1, Ordering::Relaxed) + 1;
        self.inside_max.fetch_max(inside, Ordering::Relaxed);
        let _turn = self.gate.acquire().await.unwrap();
        self.inside.fetch_sub(1, Ordering::Relaxed);
        sqlx::raw_sql(self.first).execute(&mut **tx).await?;
        for Received { fact, cause, .. } in events {
            let key = match &fact {
                Heard::Counted(counted) => &counted.key,
                Heard::Renamed(renamed) => &renamed.key,
            };
            assert_ne!(key, "bug", "the handler cannot do this one");
            sqlx::query(
                "INSERT INTO counter VALUES ($1, 1) ON CONFLICT (key) DO UPDATE SET n = counter.n + 1",
            )
            .bind(key)
            .execute(&mut **tx)
            .await?;
            if let Heard::Counted(counted) = fact {
                tx.tell(&queue(), &Event::new(counted).caused_by(&cause))?;
            }
        }
        Ok(())
    }
}

type Consumer = Arc<IdempotentConsumer<Tally>>;

fn consumer(service: &Service, tally: Tally) -> Consumer {
    consumers(&service.pool, &service.outbox).idempotent("tally", tally)
}

fn consumers(pool: &PgPool, outbox: &Outbox) -> Consumers {
    Consumers::new(pool.clone(), outbox.clone())
}

fn counted(key: &str, n: u64) -> Event<Counted> {
    Event::new(Counted { key: key.into(), n })
}

fn delivery<T: envelope::EventData>(event: &Event<T>) -> Delivery {
    let message = event.to_binary(envelope::KAFKA_PREFIX).unwrap();
    of(Message {
        key: Some(event.subject.clone()),
        headers: message.headers,
        payload: message.body,
    })
}

fn of(message: Message) -> Delivery {
    Delivery::new(message, "counts", 1)
}

/// As a broker's consumer does it: together, and each alone if that fails. Returns those that are parked.
async fn deliver(consumer: &Consumer, batch: &[Delivery]) -> Vec<usize> {
    let mut parked = Vec::new();
    if consumer.handle_batch(batch).await.is_err() {
        for (n, delivery) in batch.iter().enumerate() {
            match consumer.handle(delivery).await {
                Ok(()) => {}
                Err(HandlerError::Permanent(_)) => parked.push(n),
                Err(error) => panic!("{n}: {error}"),
            }
        }
    }
    parked
}

async fn count(service: &Service, of: &str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT {of}")))
        .fetch_one(&service.pool)
        .await
        .unwrap()
}

/// Times that the events of this key took effect.
async fn effects(service: &Service, key: &str) -> i64 {
    sqlx::query_scalar("SELECT coalesce(sum(n), 0)::bigint FROM counter WHERE key = $1")
        .bind(key)
        .fetch_one(&service.pool)
        .await
        .unwrap()
}

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
