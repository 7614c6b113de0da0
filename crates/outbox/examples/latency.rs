//! How long an event takes from its commit to a consumer behind Kafka, at a steady rate.
//!
//! ```text
//! cargo run -p outbox --example latency --release [-- [EVENTS_A_SECOND [SECONDS]] [--container]]
//! ```
//!
//! Each event has a transaction of its own; two relays send them to Kafka, and a consumer reads them there. Kafka is
//! librdkafka's mock cluster unless `KAFKA_BROKERS` names brokers, or `--container` starts one in a container. A broker that
//! is named must make topics when they are written to and ask for no account.
//!
//! A time begins with the answer to the commit. The consumer may be faster than that answer: such an event counts as 0 ms,
//! and how many there are is printed.
//!
//! `DATABASE_URL` names another database than a private PostgreSQL without fsync: it is the way after the commit that is
//! measured.

mod kafka;
mod wait;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use embedded::kafka::MockKafka;
use envelope::{Event, EventData};
use messaging::kafka::{ConsumerOptions, KafkaConfig, KafkaPublisher, consume};
use messaging::{Delivery, Destination, Handler, HandlerError, Router, Status};
use outbox::{Failure, Outbox, RelayOptions};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use kafka::Kafka;

const TOPIC: &str = "order-events";
const PARTITIONS: i32 = 12;
const RELAYS: usize = 2;
/// Rate and length unless the command line says otherwise.
const EVENTS_A_SECOND: u64 = 1000;
const SECONDS: u64 = 10;
/// Seconds whose events are not counted: connections, plans and partitions get ready with them.
const WARM_UP_SECONDS: u64 = 3;
/// The same for a broker on a virtual machine, which compiles meanwhile what it runs.
const WARM_UP_SECONDS_OF_APACHE: u64 = 40;

#[derive(Serialize, Deserialize)]
struct Placed {
    n: u64,
}

impl EventData for Placed {
    const TYPE: &'static str = "example.order.placed.v1";
    const SOURCE: &'static str = "/services/test";
    fn subject(&self) -> String {
        format!("order-{}", self.n)
    }
}

/// When each event was committed, until it arrives; then how long it took.
#[derive(Default)]
struct Clock {
    committed: Mutex<HashMap<String, Instant>>,
    took: Mutex<Vec<Duration>>,
    /// What has arrived: what comes again is no event more.
    arrived: Mutex<HashSet<String>>,
}

impl Clock {
    fn count(&self) -> u64 {
        self.took.lock().len() as u64
    }
}

#[async_trait]
impl Handler for Clock {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let arrived = Instant::now();
        // What made the topic has no key.
        let Some(key) = delivery.message.key.clone() else {
            return Ok(());
        };
        if !self.arrived.lock().insert(key.clone()) {
            return Ok(());
        }
        let committed = self.committed.lock().remove(&key);
        // The consumer may be faster than the commit's answer: that is no time at all.
        let took = committed.map_or(Duration::ZERO, |committed| arrived - committed);
        self.took.lock().push(took);
        Ok(())
    }
}

type AnyError = Box<dyn std::error::Error>;

#[tokio::main]
#[expect(clippy::print_stderr, reason = "how far it is")]
async fn main() -> Result<(), AnyError> {
    let numbers = kafka::numbers()?;
    let rate = numbers.first().copied().unwrap_or(EVENTS_A_SECOND).max(1);
    let pool = database().await?;
    outbox::install(&pool).await?;

    let (config, topic, broker) = stream().await?;
    let warm_up = rate * broker.warm_up_seconds();
    let events = warm_up + rate * numbers.get(1).copied().unwrap_or(SECONDS).max(1);
    let to = Destination::Topic(topic.clone());
    let shutdown = CancellationToken::new();
    let outbox = Outbox::new();
    let clock = Arc::new(Clock::default());
    let mut running = start(&pool, &outbox, config, topic, &clock, &shutdown)?;

    let write = |n| {
        let (pool, outbox, to, clock) = (pool.clone(), outbox.clone(), to.clone(), clock.clone());
        async move {
            let event = Event::new(Placed { n });
            let mut tx = outbox.begin(&pool).await?;
            tx.tell(&to, &event)?;
            tx.commit().await?;
            let key = event.subject;
            clock.committed.lock().insert(key, Instant::now());
            Ok::<_, Failure>(())
        }
    };
    // Its arrival says that the consumer has joined its group, which may take seconds.
    write(0).await?;
    wait::until(1, "events of a group that is joined", || clock.count()).await?;
    eprintln!("{events} events, {rate} a second");
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(rate)?);
    let mut writers = JoinSet::new();
    for n in 1..events {
        ticks.tick().await;
        writers.spawn(write(n));
    }
    while let Some(written) = writers.join_next().await {
        written??;
    }
    wait::until(events, "events arrived", || clock.count()).await?;
    shutdown.cancel();
    while running.join_next().await.is_some() {}

    let took = clock.took.lock().split_off(usize::try_from(warm_up)?);
    report(rate, &broker, took);
    Ok(())
}

/// The one of `DATABASE_URL`, or a private one.
async fn database() -> Result<PgPool, AnyError> {
    let url = match std::env::var("DATABASE_URL") {
        Ok(url) => url,
        Err(_) => embedded::testing::fresh_database().url,
    };
    Ok(PgPoolOptions::new()
        .max_connections(16)
        .connect(&url)
        .await?)
}

/// The relays, and the consumer that tells the clock what arrives.
fn start(
    pool: &PgPool,
    outbox: &Outbox,
    config: KafkaConfig,
    topic: String,
    clock: &Arc<Clock>,
    shutdown: &CancellationToken,
) -> Result<JoinSet<()>, AnyError> {
    let mut running = JoinSet::new();
    for _ in 0..RELAYS {
        let publisher = Arc::new(Router::topics_only(Arc::new(KafkaPublisher::new(&config)?)));
        let (options, status) = (RelayOptions::default(), Status::ignore());
        let (pool, outbox, shutdown) = (pool.clone(), outbox.clone(), shutdown.clone());
        running.spawn(async move {
            outbox::relay(pool, outbox, publisher, options, status, shutdown).await;
        });
    }
    let (handler, stop) = (clock.clone(), shutdown.clone());
    running.spawn(async move {
        let options = ConsumerOptions::new(format!("{topic}.latency"), [topic]);
        let consumed = consume(&config, options, handler, Status::ignore(), stop).await;
        consumed.expect("a consumer");
    });
    Ok(running)
}

#[expect(clippy::print_stdout, reason = "the result")]
fn report(rate: u64, broker: &Broker, mut took: Vec<Duration>) {
    took.sort_unstable();
    let early = took.iter().filter(|took| took.is_zero()).count();
    let percentile = |percent: usize| took[took.len() * percent / 100].as_secs_f64() * 1e3;
    println!(
        "commit to consumer at {rate}/s, {}: p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms ({} events, {RELAYS} relays; {early} arrived before the commit's answer)",
        broker.name(),
        percentile(50),
        percentile(99),
        took.last().copied().unwrap_or_default().as_secs_f64() * 1e3,
        took.len()
    );
}

/// What has to stay for as long as the stream is used.
enum Broker {
    Mock(#[expect(dead_code, reason = "it ends when it is dropped")] MockKafka),
    Apache(#[expect(dead_code, reason = "its container ends when it is dropped")] Box<Kafka>),
}

impl Broker {
    fn name(&self) -> &'static str {
        match self {
            Self::Mock(_) => "mock Kafka",
            Self::Apache(_) => "Apache Kafka",
        }
    }

    fn warm_up_seconds(&self) -> u64 {
        match self {
            Self::Mock(_) => WARM_UP_SECONDS,
            Self::Apache(_) => WARM_UP_SECONDS_OF_APACHE,
        }
    }
}

/// The brokers, as clients are told of them, and the topic.
async fn stream() -> Result<(KafkaConfig, String, Broker), AnyError> {
    if let Some(kafka) = Kafka::asked_for("latency").await? {
        let (config, topic) = (kafka.config.clone(), kafka.topic.clone());
        return Ok((config, topic, Broker::Apache(Box::new(kafka))));
    }
    let cluster = MockKafka::start(&[(TOPIC, PARTITIONS)])?;
    let config = KafkaConfig {
        // The mock answers a fetch that finds nothing only when its time is up.
        fetch_wait: Duration::from_millis(5),
        ..KafkaConfig::new(cluster.bootstrap_servers(), "latency")
    };
    Ok((config, TOPIC.to_owned(), Broker::Mock(cluster)))
}
