//! The outbox in small: an event is written with the change that it tells of, sent twice, and takes effect once.
//!
//! ```text
//! cargo run -p outbox --example hello
//! ```

use std::sync::Arc;

use async_trait::async_trait;
use envelope::{Event, EventData};
use messaging::memory::MemoryBus;
use messaging::{Delivery, Destination, Handler, HandlerError, Message, PublishError, Publisher};
use outbox::{Consumers, EventHandler, Failure, IdempotentConsumer, Outbox, Reads, Received};
use outbox::{RelayOptions, Transaction};
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

/// What a greeting leads to. It never sees the second copy.
struct Greetings;

impl EventHandler for Greetings {
    type Fact = Greeted;

    fn reads() -> Reads<Greeted> {
        Reads::new().event(|greeted: Greeted| greeted)
    }

    async fn apply(
        &self,
        tx: &mut Transaction,
        events: Vec<Received<Greeted>>,
    ) -> Result<(), Failure> {
        for Received { fact, .. } in events {
            let effect = sqlx::query("INSERT INTO greetings VALUES ($1)");
            effect.bind(fact.name).execute(&mut **tx).await?;
        }
        Ok(())
    }
}

/// Says when a delivery has been handled.
struct Witness(Arc<IdempotentConsumer<Greetings>>, mpsc::Sender<()>);

#[async_trait]
impl Handler for Witness {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        self.0.handle(delivery).await?;
        self.1.send(()).await.map_err(HandlerError::permanent)
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
    let (handled, mut deliveries) = mpsc::channel(2);
    let consumers = Consumers::new(pool.clone(), outbox.clone());
    let witness = Witness(consumers.idempotent("greetings", Greetings), handled);
    tokio::spawn(bus.subscribe(&topic, Arc::new(witness), shutdown.clone()));
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
    let mut tx = outbox.begin(&pool).await?;
    sqlx::query("INSERT INTO people VALUES ('Ada')")
        .execute(&mut *tx)
        .await?;
    let name = "Ada".to_owned();
    tx.tell(&topic, &Event::new(Greeted { name }))?;
    tx.commit().await?;

    for n in 1..=2 {
        deliveries.recv().await.ok_or("the consumer has ended")?;
        println!("handled: delivery {n}");
    }
    let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM greetings");
    println!("greetings: {}", count.fetch_one(&pool).await?);
    shutdown.cancel();
    Ok(relay.await?)
}
