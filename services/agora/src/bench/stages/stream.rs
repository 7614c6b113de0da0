//! From the commit of an event to a Kafka consumer, at a steady rate: the outbox and its relays alone, with a separate database
//! and a separate Kafka.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use embedded::kafka::MockKafka;
use embedded::postgres::create_database;
use envelope::{Event, EventData};
use messaging::kafka::{ConsumerOptions, KafkaConfig, KafkaPublisher, consume};
use messaging::{Delivery, Destination, Handler, HandlerError, Router, Status};
use outbox::{Outbox, RelayOptions};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::super::Run;
use super::super::row::Row;
use super::super::sizes::Sizes;
use super::failed;
use crate::failure::Failure;

const DATABASE: &str = "bench";
const TOPIC: &str = "bench-events";
const PARTITIONS: i32 = 12;
const RELAYS: usize = 2;
/// Connections for both relays and the writers.
const CONNECTIONS: u32 = 16;
/// How long the in-memory broker may delay a fetch, since it does not answer early.
const FETCH_WAIT: Duration = Duration::from_millis(5);
/// How long to wait for events that have not arrived yet.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Serialize, Deserialize)]
struct Measured {
    number: u32,
}

impl EventData for Measured {
    const TYPE: &'static str = "agora.bench.measured.v1";
    const SOURCE: &'static str = "/services/bench";

    fn subject(&self) -> String {
        format!("event-{}", self.number)
    }
}

/// When each event was committed, until it arrives; then how long it took.
#[derive(Default)]
struct Clock {
    committed: Mutex<HashMap<String, Instant>>,
    took: Mutex<Vec<Duration>>,
    /// What has arrived: what comes again is no event more.
    known: Mutex<HashSet<String>>,
    arrived: Notify,
}

#[async_trait]
impl Handler for Clock {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let arrived = Instant::now();
        let key = delivery.message.key.clone().unwrap_or_default();
        if !self.known.lock().insert(key.clone()) {
            return Ok(());
        }
        let committed = self.committed.lock().remove(&key);
        // The consumer may get an event before the commit's answer arrives, which counts as zero.
        let took = committed.map_or(Duration::ZERO, |committed| arrived - committed);
        self.took.lock().push(took);
        self.arrived.notify_one();
        Ok(())
    }
}

impl Clock {
    /// Waits until so many have arrived.
    async fn have(&self, events: usize) -> Result<(), Failure> {
        let all = async {
            while self.took.lock().len() < events {
                self.arrived.notified().await;
            }
        };
        let missing = |_| Failure::new("not all events came out of the stream");
        timeout(PATIENCE, all).await.map_err(missing)
    }
}

pub(super) async fn measure(run: &mut Run) -> Result<(), Failure> {
    let server = run.market.server("postgres")?;
    let created = create_database(&server, DATABASE).await;
    created.map_err(|error| Failure::new(error.to_string()))?;
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .connect(&run.market.server(DATABASE)?)
        .await
        .map_err(failed)?;
    outbox::install(&pool).await.map_err(failed)?;
    let mut took = events(&pool, &run.sizes).await?;
    pool.close().await;

    took.sort_unstable();
    let percentile = |percent: usize| {
        let at = took.get(took.len() * percent / 100);
        at.copied().unwrap_or_default().as_secs_f64() * 1e3
    };
    let (p50, p99) = (percentile(50), percentile(99));
    let text = format!("p50 {p50:.1} ms, p99 {p99:.1} ms");
    let values = json!({"p50_ms": p50, "p99_ms": p99, "events": took.len()});
    run.figures.put(Row::Stream, text, values);
    Ok(())
}

/// Sends the events; returns the durations of the counted ones, in the order of their arrival.
async fn events(pool: &PgPool, sizes: &Sizes) -> Result<Vec<Duration>, Failure> {
    let kafka = MockKafka::start(&[(TOPIC, PARTITIONS)]);
    let kafka = kafka.map_err(|error| Failure::new(error.to_string()))?;
    let (outbox, clock) = (Outbox::new(), Arc::new(Clock::default()));
    let shutdown = CancellationToken::new();
    let brokers = kafka.bootstrap_servers();
    let mut running = stream(brokers, pool, &outbox, &clock, &shutdown)?;
    let next = |number| write(number, pool.clone(), outbox.clone(), Arc::clone(&clock));

    // The arrival of the first event shows that the consumer has joined its group, which may take seconds.
    next(0).await?;
    clock.have(1).await?;
    let rate = sizes.stream_rate.get();
    let warm_up = rate * sizes.stream_warm_secs;
    let all = warm_up + rate * sizes.stream_secs;
    let mut ticks = interval(Duration::from_secs(1) / rate);
    let mut writers = JoinSet::new();
    for number in 1..all {
        ticks.tick().await;
        writers.spawn(next(number));
    }
    while let Some(written) = writers.join_next().await {
        written.map_err(|panic| Failure::new(panic.to_string()))??;
    }
    clock.have(all as usize).await?;
    shutdown.cancel();
    while running.join_next().await.is_some() {}
    let took = clock.took.lock().split_off(warm_up as usize);
    Ok(took)
}

/// Starts the relays and the consumer, until `shutdown`; they are aborted if the set is dropped before.
fn stream(
    brokers: &str,
    pool: &PgPool,
    outbox: &Outbox,
    clock: &Arc<Clock>,
    shutdown: &CancellationToken,
) -> Result<JoinSet<()>, Failure> {
    let config = KafkaConfig {
        fetch_wait: FETCH_WAIT,
        ..KafkaConfig::new(brokers, "agora-bench")
    };
    let mut running = JoinSet::new();
    for _ in 0..RELAYS {
        let publisher = KafkaPublisher::new(&config);
        let publisher = publisher.map_err(|error| Failure::new(error.to_string()))?;
        let publisher = Arc::new(Router::topics_only(Arc::new(publisher)));
        let (pool, outbox, shutdown) = (pool.clone(), outbox.clone(), shutdown.clone());
        running.spawn(async move {
            let (options, status) = (RelayOptions::default(), Status::ignore());
            outbox::relay(pool, outbox, publisher, options, status, shutdown).await;
        });
    }
    let (handler, stop) = (Arc::clone(clock), shutdown.clone());
    running.spawn(async move {
        let options = ConsumerOptions::new("bench", [TOPIC]);
        // If it cannot consume, no event arrives, which is reported.
        let _ = consume(&config, options, handler, Status::ignore(), stop).await;
    });
    Ok(running)
}

/// Commits one event, in a transaction of its own.
async fn write(
    number: u32,
    pool: PgPool,
    outbox: Outbox,
    clock: Arc<Clock>,
) -> Result<(), Failure> {
    let event = Event::new(Measured { number });
    let to = Destination::Topic(TOPIC.to_owned());
    let mut tx = outbox.begin(&pool).await.map_err(failed)?;
    tx.tell(&to, &event)
        .map_err(|error| Failure::new(error.to_string()))?;
    tx.commit().await.map_err(failed)?;
    clock.committed.lock().insert(event.subject, Instant::now());
    Ok(())
}

#[cfg(test)]
mod tests {
    use messaging::Message;

    use super::*;

    #[tokio::test]
    async fn what_comes_again_is_no_event_more_and_no_time_of_zero() {
        let clock = Clock::default();
        let begun = Instant::now() - Duration::from_secs(1);
        clock.committed.lock().insert("event-1".to_owned(), begun);
        let message = Message::new("{}").with_key("event-1");
        let delivery = Delivery::new(message, TOPIC, 1);
        for _ in 0..2 {
            clock.handle(&delivery).await.expect("a time");
        }
        let took = clock.took.lock();
        assert!(matches!(&took[..], [once] if *once >= Duration::from_secs(1)));
    }
}
