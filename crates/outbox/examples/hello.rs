//! The outbox in small: an event is written with the change that it tells of, sent twice, and takes effect once.
//!
//! ```text
//! cargo run -p outbox --example hello
//! ```

use std::sync::Arc;

use async_trait::async_trait;
use envelope::{Event, EventData, KAFKA_PREFIX, RawEvent};
use messaging::memory::MemoryBus;
use messaging::{Delivery, Destination, Handler, HandlerError, Message, PublishError, Publisher};
use outbox::{Outbox, RelayOptions, inbox};
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

#[derive(serde::Serialize, serde::Deserialize)]
struct Greeted {
    name: String,
}

impl EventData for Greeted {
    const TYPE: &'static str = "example.greeted.v1";
    const SOURCE: &'static str = "/services/hello";
    fn subject(&self) -> String {
        self.name.clone()
    }
}

/// A broker that sends everything twice, as each of them does now and then.
struct Twice(MemoryBus);

#[async_trait]
impl Publisher for Twice {
    async fn publish(&self, to: &Destination, message: Message) -> Result<(), PublishError> {
        self.0.publish(to, message.clone()).await?;
        self.0.publish(to, message).await
    }
}

/// Counts greetings, each event once: its inbox row and its effect are one transaction.
struct Counter {
    pool: PgPool,
    receipts: mpsc::Sender<inbox::Receipt>,
}

impl Counter {
    async fn count(&self, event: &Event<Greeted>) -> Result<inbox::Receipt, sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        let receipt = inbox::accept(&mut tx, "counter", event.id).await?;
        if receipt == inbox::Receipt::First {
            let effect = sqlx::query("INSERT INTO greetings VALUES ($1)");
            effect.bind(&event.data.name).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(receipt)
    }
}

#[async_trait]
impl Handler for Counter {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let headers = delivery.message.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
        // What cannot be read is parked; what may pass, as a database that is away, is tried again.
        let event = RawEvent::from_message(KAFKA_PREFIX, headers, &delivery.message.payload)
            .and_then(|event| event.decode())
            .map_err(HandlerError::permanent)?;
        let receipt = self.count(&event).await.map_err(HandlerError::transient)?;
        self.receipts
            .send(receipt)
            .await
            .map_err(HandlerError::permanent)
    }
}

#[tokio::main]
#[allow(clippy::print_stdout, reason = "what it shows")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = PgPool::connect(&embedded::testing::fresh_database().url).await?;
    let (outbox, bus, shutdown) = (Outbox::new(), MemoryBus::new(), CancellationToken::new());
    outbox::install(&pool).await?;
    sqlx::raw_sql("CREATE TABLE people (name text); CREATE TABLE greetings (name text)")
        .execute(&pool)
        .await?;

    let topic = Destination::Topic("greetings".to_owned());
    let (receipts, mut received) = mpsc::channel(2);
    let counter = Arc::new(Counter {
        pool: pool.clone(),
        receipts,
    });
    tokio::spawn(bus.subscribe(&topic, counter, shutdown.clone()));
    let (publisher, status) = (Arc::new(Twice(bus)), messaging::Status::ignore());
    let options = RelayOptions::default();
    let relay = outbox::relay(
        pool.clone(),
        outbox.clone(),
        publisher,
        options,
        status,
        shutdown.clone(),
    );
    let relay = tokio::spawn(relay);

    // The change and the event: both or neither.
    let mut tx = pool.begin().await?;
    sqlx::query("INSERT INTO people VALUES ('Ada')")
        .execute(&mut *tx)
        .await?;
    let event = Event::new(Greeted {
        name: "Ada".to_owned(),
    });
    outbox.add(&mut tx, &topic, &event).await?;
    tx.commit().await?;
    outbox.wake();

    for _ in 0..2 {
        println!(
            "received: {:?}",
            received.recv().await.ok_or("the consumer has ended")?
        );
    }
    let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM greetings");
    println!("greetings: {}", count.fetch_one(&pool).await?);
    shutdown.cancel();
    Ok(relay.await?)
}
