//! A library lends books. When one comes back, the next reader gets a letter, once.
//!
//! ```text
//! DATABASE_URL=postgres://… cargo run --manifest-path tests/lifted/Cargo.toml
//! ```

use std::sync::Arc;
use std::time::Duration;

use envelope::{Event, EventData};
use messaging::pg_queue::PgQueue;
use messaging::{ConsumeOptions, Destination, Queue, Status};
use outbox::{
    Consumers, EventHandler, Failure, Outbox, Reads, Received, RelayOptions, Transaction,
};
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgPool};
use tokio::sync::mpsc;
use tokio::time::timeout;
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
    let pool = connect(&std::env::var("DATABASE_URL")?).await?;
    let (queue, outbox) = (PgQueue::new(pool.clone()), Outbox::new());
    outbox::install(&pool).await?;
    // The queue keeps what it has acknowledged, so that rows are deleted and need no room for a mark.
    outbox::fit_pages(&pool, Duration::ZERO).await?;
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
    let consumers = Consumers::new(pool.clone(), outbox.clone());
    let writer = consumers.idempotent(LETTERS, Writer { written });
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
    let letter = timeout(PATIENCE, letters.recv()).await?;
    println!("a letter about {}", letter.ok_or("the reader has ended")?);

    stop.cancel();
    relay.await?;
    Ok(reader.await??)
}

// region: pool
/// A pool whose connections suit the queue and the outbox.
async fn connect(url: &str) -> sqlx::Result<PgPool> {
    let options: PgConnectOptions = url.parse()?;
    let options = options.options([
        // A plan is kept with its connection. One that was made while a queue was empty, as it is between two messages,
        // would read all of it when it is not any more.
        ("enable_seqscan", "off"),
        // Where there is no index, the estimated cost is now so high that compiling would seem to pay.
        ("jit", "off"),
        // What hangs gives back its locks and its connection.
        ("statement_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "60s"),
        // So does the statement of whoever was killed, or closed its connection. A server on Windows refuses it.
        ("client_connection_check_interval", "1s"),
    ]);
    PgPoolOptions::new()
        // A connection comes back in the middle of a statement that nobody waits for any more. If its host is gone without a
        // word, sqlx would wait for the answer until TCP gives up, and keep the place of the connection occupied.
        // To ask costs a round trip after each use.
        .after_release(|connection, _| {
            Box::pin(async move {
                let at_rest = timeout(Duration::from_secs(1), connection.ping()).await;
                Ok(matches!(at_rest, Ok(Ok(()))))
            })
        })
        .connect_with(options)
        .await
}
// endregion: pool

/// Puts a book on its shelf and tells of it, or does neither.
async fn take_back(pool: &PgPool, outbox: &Outbox, title: &str) -> Result<(), AnyError> {
    let mut tx = outbox.begin(pool).await?;
    sqlx::query(
        "INSERT INTO book VALUES ($1, true) ON CONFLICT (title) DO UPDATE SET is_in = true",
    )
    .bind(title)
    .execute(&mut *tx)
    .await?;
    let title = title.to_owned();
    let to = Destination::Queue(LETTERS.to_owned());
    tx.tell(&to, &Event::new(Returned { title }))?;
    Ok(tx.commit().await?)
}

/// Writes the letters.
struct Writer {
    written: mpsc::Sender<String>,
}

impl EventHandler for Writer {
    type Fact = Returned;

    fn reads() -> Reads<Returned> {
        Reads::new().event(|returned: Returned| returned)
    }

    async fn apply(
        &self,
        tx: &mut Transaction,
        events: Vec<Received<Returned>>,
    ) -> Result<(), Failure> {
        for Received { fact, .. } in events {
            sqlx::query("INSERT INTO letter VALUES ($1)")
                .bind(&fact.title)
                .execute(&mut **tx)
                .await?;
            let written = self.written.clone();
            tx.on_commit(move || {
                // Nobody waits any more once the program ends.
                let _ended = written.try_send(fact.title);
            });
        }
        Ok(())
    }
}
