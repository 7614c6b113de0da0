//! A library lends books. When one comes back, the next reader gets a letter, once.
//!
//! ```text
//! DATABASE_URL=postgres://… cargo run --manifest-path tests/lifted/Cargo.toml
//! ```

use std::sync::Arc;
use std::time::Duration;

use envelope::{AMQP_PREFIX, Event, EventData, RawEvent};
use messaging::pg_queue::PgQueue;
use messaging::{ConsumeOptions, Delivery, Destination, Handler, HandlerError, Queue, Status};
use outbox::{Outbox, RelayOptions, inbox};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const LETTERS: &str = "letters";
const PATIENCE: Duration = Duration::from_secs(30);

/// A book is back on its shelf.
#[derive(Debug, Serialize, Deserialize)]
struct Returned {
    title: String,
}

impl EventData for Returned {
    const TYPE: &'static str = "library.book.returned.v1";
    const SOURCE: &'static str = "/library";

    fn subject(&self) -> String {
        self.title.clone()
    }
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let pool = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    let (queue, outbox) = (PgQueue::new(pool.clone()), Outbox::new());
    outbox::install(&pool).await?;
    queue.install().await?;
    queue.declare(LETTERS).await?;
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS book (title text PRIMARY KEY, is_in boolean NOT NULL);
         CREATE TABLE IF NOT EXISTS letter (title text NOT NULL)",
    )
    .execute(&pool)
    .await?;

    let stop = CancellationToken::new();
    let relay = tokio::spawn(outbox::relay(
        pool.clone(),
        outbox.clone(),
        Arc::new(queue.clone()),
        RelayOptions::default(),
        Status::ignore(),
        stop.clone(),
    ));
    let (written, mut letters) = mpsc::channel(8);
    let writer = Arc::new(Writer {
        pool: pool.clone(),
        written,
    });
    let reader = tokio::spawn({
        let (queue, stop) = (queue.clone(), stop.clone());
        async move {
            let options = ConsumeOptions::default();
            queue
                .consume(LETTERS, options, writer, Status::ignore(), stop)
                .await
        }
    });

    take_back(&pool, &outbox, "Middlemarch").await?;
    let letter = tokio::time::timeout(PATIENCE, letters.recv()).await?;
    println!("a letter about {}", letter.ok_or("the reader has ended")?);

    stop.cancel();
    relay.await?;
    Ok(reader.await??)
}

/// Puts a book on its shelf and tells of it, or does neither.
async fn take_back(pool: &PgPool, outbox: &Outbox, title: &str) -> Result<(), AnyError> {
    let mut tx = pool.begin().await?;
    sqlx::query(
        "INSERT INTO book VALUES ($1, true) ON CONFLICT (title) DO UPDATE SET is_in = true",
    )
    .bind(title)
    .execute(&mut *tx)
    .await?;
    let event = Event::new(Returned {
        title: title.to_owned(),
    });
    outbox
        .add(&mut tx, &Destination::Queue(LETTERS.to_owned()), &event)
        .await?;
    tx.commit().await?;
    outbox.wake();
    Ok(())
}

/// Writes the letters.
struct Writer {
    pool: PgPool,
    written: mpsc::Sender<String>,
}

#[async_trait::async_trait]
impl Handler for Writer {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let headers = delivery.message.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
        let event = RawEvent::from_message(AMQP_PREFIX, headers, &delivery.message.payload)
            .and_then(|event| event.decode::<Returned>())
            .map_err(HandlerError::permanent)?;
        self.write(&event).await.map_err(HandlerError::transient)?;
        // Nobody waits any more once the program ends.
        let _ended = self.written.send(event.data.title).await;
        Ok(())
    }
}

impl Writer {
    async fn write(&self, event: &Event<Returned>) -> Result<(), sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        if inbox::accept(&mut tx, LETTERS, event.id).await? == inbox::Receipt::First {
            sqlx::query("INSERT INTO letter VALUES ($1)")
                .bind(&event.data.title)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await
    }
}
