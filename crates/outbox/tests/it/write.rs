//! Writing: with the transaction or not at all, and not more than a broker takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use envelope::{Event, EventData, RawEvent, TraceContext};
use messaging::Destination;
use outbox::{MAX_EVENT_BYTES, OutboxError, Told};
use serde::{Deserialize, Serialize};

use crate::broker::Broker;
use crate::fixture::{Counted, Relay, Service, count_in, pool, topic, woken};

#[derive(Debug, Serialize, Deserialize)]
struct Large(String);

impl EventData for Large {
    const TYPE: &'static str = "test.large.v1";
    const SOURCE: &'static str = "/services/test";
    fn subject(&self) -> String {
        "large".into()
    }
}

/// Neither the outbox, nor who counts what was committed, hears of a transaction that did not commit.
#[tokio::test]
async fn a_rollback_tells_nothing() {
    let service = Service::start().await;
    let broker = Broker::new();
    let relay = service.relay(broker.clone(), woken()).await;
    let committed = Arc::new(AtomicU32::new(0));
    let begin = async |key| {
        let mut tx = service.outbox.begin(&service.pool).await.unwrap();
        count_in(&mut tx, &[topic()], key).await;
        let committed = committed.clone();
        tx.on_commit(move || {
            committed.fetch_add(1, Ordering::Relaxed);
        });
        tx
    };
    begin("rolled back").await.rollback().await.unwrap();
    drop(begin("dropped").await);
    let fails = begin("fails").await;
    sqlx::raw_sql("ALTER TABLE outbox ADD CHECK (key <> 'fails')")
        .execute(&service.pool)
        .await
        .unwrap();
    fails.commit().await.unwrap_err();
    begin("b").await.commit().await.unwrap();
    broker
        .accepts("what was committed", |seen| seen.len() == 1)
        .await;
    service.until_empty().await;
    relay.stop().await;
    assert_eq!(broker.accepted()[0].key, "b");
    assert_eq!(committed.load(Ordering::Relaxed), 1);
}

/// Tells that `key` was counted for the first time, in one statement, if `wanted`; whether it did.
async fn count_at_once(service: &Service, key: &str, wanted: bool) -> Result<bool, sqlx::Error> {
    let mut told = Told::default();
    let event = Event::new(Counted {
        key: key.into(),
        n: 1,
    });
    told.tell(&topic(), &event).unwrap();
    let statement = told.query_as(
        "WITH counted AS (INSERT INTO counter SELECT $6, 1 WHERE $7 RETURNING key)
         SELECT coalesce((SELECT outbox_tell($1, $2, $3, $4, $5) FROM counted), false)",
    );
    let statement = statement.bind(key.to_owned()).bind(wanted);
    let (told,) = service
        .outbox
        .tell_in(&service.pool, "count", statement)
        .await?;
    Ok(told)
}

/// Tells that keys were counted for the first time, all in one statement, but for those that were counted before; returns
/// which were.
async fn count_together(service: &Service, keys: &[&str]) -> Result<Vec<bool>, sqlx::Error> {
    let tell = |key: &&str| {
        let mut told = Told::default();
        let key = (*key).to_owned();
        told.tell(&topic(), &Event::new(Counted { key, n: 1 }))
            .unwrap();
        told
    };
    let told: Vec<Told> = keys.iter().map(tell).collect();
    let statement = Told::query_all_as(
        told.iter(),
        "WITH counted AS (
             INSERT INTO counter SELECT key, 1 FROM unnest($6::text[]) AS wanted (key) ON CONFLICT DO NOTHING RETURNING key),
         told AS MATERIALIZED (
             SELECT outbox_tell(array_agg(lane ORDER BY position), array_agg(destination ORDER BY position),
                                array_agg(key ORDER BY position), array_agg(headers ORDER BY position),
                                array_agg(payload ORDER BY position)) AS is_told
               FROM counted JOIN unnest($1, $2, $3, $4, $5) WITH ORDINALITY
                      AS event (lane, destination, key, headers, payload, position) USING (key))
         SELECT is_told AND counted.key IS NOT NULL
           FROM unnest($6::text[]) WITH ORDINALITY AS wanted (key, position)
                CROSS JOIN told LEFT JOIN counted ON counted.key = wanted.key ORDER BY wanted.position",
    );
    let mut connection = service.pool.acquire().await?;
    let counted: Vec<(bool,)> = service
        .outbox
        .tell_all_in(&mut connection, statement.bind(keys))
        .await?;
    Ok(counted.into_iter().map(|(counted,)| counted).collect())
}

/// It wakes the relay, which does not look by itself, and tells only of what was changed.
#[tokio::test]
async fn one_statement_changes_and_tells() {
    let service = Service::start().await;
    let broker = Broker::new();
    let relay = service.relay(broker.clone(), woken()).await;
    assert!(count_at_once(&service, "a", true).await.unwrap());
    assert!(!count_at_once(&service, "unwanted", false).await.unwrap());
    count_at_once(&service, "a", true).await.unwrap_err();
    broker
        .accepts("the first one", |seen| seen.len() == 1)
        .await;
    assert!(count_at_once(&service, "b", true).await.unwrap());
    broker
        .accepts("the second one", |seen| seen.len() == 2)
        .await;
    // Several that share a statement are in lanes of their own.
    let shared = count_together(&service, &["c", "a", "d"]).await.unwrap();
    assert_eq!(shared, [true, false, true]);
    broker
        .accepts("those that were new", |seen| seen.len() == 4)
        .await;
    service.until_empty().await;
    relay.stop().await;
    let mut keys: Vec<_> = broker.accepted().into_iter().map(|it| it.key).collect();
    assert_eq!(keys[..2], ["a", "b"]);
    keys[2..].sort();
    assert_eq!(keys[2..], ["c", "d"]);
}

#[tokio::test]
async fn an_event_that_no_broker_takes_is_refused_at_once() {
    let service = Service::start().await;
    let mut tx = service.outbox.begin(&service.pool).await.unwrap();
    let fits = Event::new(Large("x".repeat(MAX_EVENT_BYTES - 2048)));
    tx.tell(&topic(), &fits).unwrap();
    let too_large = Event::new(Large("x".repeat(MAX_EVENT_BYTES)));
    let error = tx.tell(&topic(), &too_large).unwrap_err();
    assert!(
        matches!(error, OutboxError::TooLarge { actual, limit } if actual > limit),
        "{error}"
    );
    assert!(error.to_string().contains("921600"), "{error}");
    // Refused before the database saw it: the transaction is still good.
    tx.commit().await.unwrap();
    assert_eq!(service.pending().await, 1);
}

/// A batch is limited in bytes too: a thousand of the largest events would be most of a gigabyte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_events_are_not_all_read_at_once() {
    const EVENTS: usize = 60;
    #[derive(Debug, Serialize, Deserialize)]
    struct Padded {
        n: usize,
        padding: String,
    }
    impl EventData for Padded {
        const TYPE: &'static str = "test.padded.v1";
        const SOURCE: &'static str = "/services/test";
        fn subject(&self) -> String {
            format!("key-{}", self.n)
        }
    }
    let service = Service::start().await;
    let mut tx = service.outbox.begin(&service.pool).await.unwrap();
    for n in 0..EVENTS {
        let event = Event::new(Padded {
            n,
            padding: "x".repeat(800 * 1024),
        });
        tx.tell(&topic(), &event).unwrap();
    }
    tx.commit().await.unwrap();
    // The broker's own delay, in which more would be read if nothing limited that.
    let broker = Broker::that(|_| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(())
    });
    // So few connections that there is one worker.
    let few = pool(&service.url, 2).await;
    let relay = Relay::start(few, service.outbox.clone(), broker.clone(), woken());
    service.until_empty().await;
    relay.stop().await;
    assert_eq!(broker.accepted().len(), EVENTS);
    // 16 MiB, and the one that exceeds them.
    let peak = broker.peak.load(Ordering::Relaxed);
    assert!(peak <= 21, "{peak} at once");
}

#[tokio::test]
async fn what_arrives_is_the_event_with_its_trace() {
    let service = Service::start().await;
    let broker = Broker::new();
    let relay = service.relay(broker.clone(), woken()).await;
    let trace = TraceContext {
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        tracestate: Some("vendor=1".into()),
    };
    let event = Event::new(Counted {
        key: "ä/ö".into(),
        n: 1,
    })
    .with_sequence(7)
    .with_trace(trace.clone());
    let to = Destination::Exchange("user.created".into());
    let mut tx = service.outbox.begin(&service.pool).await.unwrap();
    tx.tell(&to, &event).unwrap();
    tx.commit().await.unwrap();
    broker.accepts("the event", |seen| seen.len() == 1).await;
    relay.stop().await;

    let seen = broker.accepted().remove(0);
    assert_eq!(
        (seen.destination.as_str(), seen.key.as_str()),
        ("exchange:user.created", "ä/ö")
    );
    assert_eq!(
        seen.message.header("traceparent"),
        trace.traceparent.as_deref()
    );
    assert_eq!(
        seen.message.header("tracestate"),
        trace.tracestate.as_deref()
    );
    let headers = seen
        .message
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let raw =
        RawEvent::from_binary(envelope::KAFKA_PREFIX, headers, &seen.message.payload).unwrap();
    assert_eq!(
        (raw.id, raw.sequence, &raw.trace),
        (event.id, Some(7), &trace)
    );
    assert_eq!(raw.decode::<Counted>().unwrap().data.key, "ä/ö");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn installing_again_and_at_once_is_safe() {
    let database = embedded::testing::fresh_database();
    let pool = crate::fixture::pool(&database.url, 8).await;
    let installs: Vec<_> = (0..8)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { outbox::install(&pool).await })
        })
        .collect();
    for install in installs {
        install.await.unwrap().unwrap();
    }
}
