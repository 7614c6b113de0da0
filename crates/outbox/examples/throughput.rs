//! How many events a second two relays take out of an outbox.
//!
//! ```text
//! cargo run -p outbox --example throughput --release [-- [EVENTS] [--container]]
//! ```
//!
//! Against a broker that answers at once, which measures the relay and nothing else; or into Apache Kafka, the one that
//! `KAFKA_BROKERS` names or with `--container` one that is started for it. That one's broker must make topics when they are
//! written to and ask for no account, so the one of `docker-compose.yml` will not do.
//!
//! The order of each key is checked: by the broker that answers at once, or by reading everything back from Kafka when the
//! time has been taken. A time ends when the last event is acknowledged.
//!
//! `DATABASE_URL` names another database than a private PostgreSQL without fsync. (It matters little: the relay's own commits
//! need not wait for the disk.)

mod kafka;
mod load;
mod wait;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use messaging::kafka::{ConsumerOptions, KafkaPublisher, consume};
use messaging::{
    Delivery, Destination, Handler, HandlerError, Message, PublishError, Publisher, Router, Status,
};
use outbox::{Outbox, RelayOptions};
use sqlx::postgres::PgPoolOptions;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use kafka::Kafka;
use load::Instantly;

/// Events that are sent unless the command line says otherwise.
const EVENTS: u64 = 200_000;
const RELAYS: usize = 2;

type AnyError = Box<dyn std::error::Error>;

#[tokio::main]
#[allow(clippy::print_stdout, reason = "the result")]
async fn main() -> Result<(), AnyError> {
    let events = kafka::numbers()?.first().copied().unwrap_or(EVENTS);
    let kafka = Kafka::asked_for("throughput").await?;
    let topic = kafka.as_ref().map_or(load::TOPIC, |kafka| &kafka.topic);
    let private = std::env::var("DATABASE_URL")
        .is_err()
        .then(embedded::testing::fresh_database);
    let url = private.as_ref().map_or_else(
        || std::env::var("DATABASE_URL"),
        |database| Ok(database.url.clone()),
    )?;
    let setup = PgPoolOptions::new()
        .max_connections(1)
        .connect(&url)
        .await?;
    outbox::install(&setup).await?;
    load::fill(&setup, topic, events).await?;

    let checked = Arc::new(Instantly::default());
    let broker = match &kafka {
        None => Broker::Instantly(checked.clone()),
        Some(kafka) => Broker::Kafka(Arc::new(Counted::new(kafka)?)),
    };
    let took = send(&url, &broker, events).await?;
    println!(
        "{events} events in {took:.2?}: {:.0} events/s with {RELAYS} relays{}",
        events as f64 / took.as_secs_f64(),
        if kafka.is_some() { " into Kafka" } else { "" },
    );
    if let Some(kafka) = &kafka {
        let again = read_back(kafka, checked, events).await?;
        println!("all read back, in order for each key; {again} of them were there twice");
    }
    Ok(())
}

/// Lets the relays send everything, and returns how long that took.
async fn send(url: &str, broker: &Broker, events: u64) -> Result<Duration, AnyError> {
    let shutdown = CancellationToken::new();
    let began = Instant::now();
    let mut relays = JoinSet::new();
    for _ in 0..RELAYS {
        let pool = PgPoolOptions::new().max_connections(4).connect(url).await?;
        let (options, status) = (RelayOptions::default(), Status::ignore());
        let (outbox, publisher, stop) = (Outbox::new(), broker.publisher(), shutdown.clone());
        relays.spawn(outbox::relay(
            pool, outbox, publisher, options, status, stop,
        ));
    }
    wait::until(events, "events acknowledged", || broker.acknowledged()).await?;
    let took = began.elapsed();
    shutdown.cancel();
    while let Some(ended) = relays.join_next().await {
        ended?;
    }
    Ok(took)
}

enum Broker {
    Instantly(Arc<Instantly>),
    Kafka(Arc<Counted>),
}

impl Broker {
    fn publisher(&self) -> Arc<dyn Publisher> {
        match self {
            Self::Instantly(broker) => broker.clone(),
            Self::Kafka(broker) => broker.clone(),
        }
    }

    /// Events that it has.
    fn acknowledged(&self) -> u64 {
        match self {
            Self::Instantly(broker) => broker.count.load(Ordering::Relaxed),
            Self::Kafka(broker) => broker.acknowledged.load(Ordering::Relaxed),
        }
    }
}

/// A way to Kafka that counts what has arrived there.
struct Counted {
    to: Router,
    acknowledged: AtomicU64,
}

impl Counted {
    fn new(kafka: &Kafka) -> Result<Self, AnyError> {
        let publisher = Arc::new(KafkaPublisher::new(&kafka.config)?);
        Ok(Self {
            to: Router::topics_only(publisher),
            acknowledged: AtomicU64::new(0),
        })
    }
}

#[async_trait]
impl Publisher for Counted {
    async fn publish(&self, to: &Destination, message: Message) -> Result<(), PublishError> {
        self.to.publish(to, message).await?;
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Reads all events, and returns how many were there more than once.
async fn read_back(kafka: &Kafka, events: Arc<Instantly>, all: u64) -> Result<u64, AnyError> {
    let reader = Arc::new(Reader {
        events,
        disorder: AtomicU64::new(0),
    });
    let (stop, options) = (
        CancellationToken::new(),
        ConsumerOptions::new(&kafka.topic, [&kafka.topic]),
    );
    let reading = tokio::spawn({
        let (config, handler, stop) = (kafka.config.clone(), reader.clone(), stop.clone());
        async move { consume(&config, options, handler, Status::ignore(), stop).await }
    });
    let read = || reader.events.count.load(Ordering::Relaxed);
    let all_came = wait::until(all, "events read back in order", read).await;
    stop.cancel();
    reading.await??;
    let disorder = reader.disorder.load(Ordering::Relaxed);
    if disorder > 0 {
        let read = read();
        return Err(format!("{read} of {all} came in order, {disorder} did not").into());
    }
    all_came?;
    Ok(reader.events.again.load(Ordering::Relaxed))
}

struct Reader {
    events: Arc<Instantly>,
    /// Events before which one of their key is missing.
    disorder: AtomicU64,
}

#[async_trait]
impl Handler for Reader {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let is_event = delivery.message.key.is_some();
        if is_event && !self.events.note(&delivery.message) {
            self.disorder.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}
