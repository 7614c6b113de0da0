//! The history of accounts, read by one consumer: from a queue, and from a stream.
//!
//! ```sh
//! cargo run -p messaging --example event_stream
//! cargo run -p messaging --example event_stream -- without
//! ```
//!
//! The stream is librdkafka's mock Kafka in this process, the queue is the one in a private PostgreSQL.
#![allow(clippy::print_stdout, reason = "the figures")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use messaging::kafka::{ConsumerOptions, KafkaConfig, KafkaPublisher, consume};
use messaging::pg_queue::PgQueue;
use messaging::{
    ConsumeOptions, Delivery, Destination, Handler, HandlerError, Message, Publisher, Queue, Status,
};
use parking_lot::Mutex;
use sqlx::PgPool;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

type AnyError = Box<dyn std::error::Error>;

const ACCOUNTS: usize = 20;
const HISTORY: [&str; 3] = ["opened", "paid in", "closed"];
const EVENTS: usize = ACCOUNTS * HISTORY.len();

/// Keeps what it read of each account. The first try of `opened` fails for every fourth: a deadlock, a lost connection.
struct Reader {
    accounts: Mutex<BTreeMap<String, Vec<String>>>,
    read: Semaphore,
}

impl Reader {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            accounts: Mutex::default(),
            read: Semaphore::new(0),
        })
    }

    fn print(&self, title: &str, again: usize) {
        let accounts = self.accounts.lock();
        let wrong = accounts
            .values()
            .filter(|history| **history != HISTORY)
            .count();
        println!("{title}: {EVENTS} events of {ACCOUNTS} accounts, one consumer");
        println!("  accounts whose history is out of order {wrong:>3}");
        println!("  events for a reader who comes later    {again:>3}");
        if let Some((account, history)) = accounts.iter().find(|(_, read)| **read != HISTORY) {
            println!("  for example {account}: {}", history.join(", "));
        }
    }
}

// region: handler
#[async_trait::async_trait]
impl Handler for Reader {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let account = delivery.message.key.clone().unwrap_or_default();
        let event = String::from_utf8_lossy(&delivery.message.payload).into_owned();
        let number: usize = account.trim_start_matches("account-").parse().unwrap_or(0);
        if event == "opened" && number.is_multiple_of(4) && delivery.attempt == 1 {
            return Err(HandlerError::transient("deadlock detected"));
        }
        self.accounts.lock().entry(account).or_default().push(event);
        self.read.add_permits(1);
        Ok(())
    }
}
// endregion: handler

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    match std::env::args().nth(1).as_deref() {
        Some("without") => without().await,
        _ => with().await,
    }
}

async fn publish(to: &Destination, publisher: &dyn Publisher) -> Result<(), AnyError> {
    // region: publish
    for event in HISTORY {
        for account in 0..ACCOUNTS {
            // Of one key: on a stream they stay in this order, whatever happens to one of them.
            let message = Message::new(event).with_key(format!("account-{account}"));
            publisher.publish(to, message).await?;
        }
    }
    // endregion: publish
    Ok(())
}

async fn with() -> Result<(), AnyError> {
    let kafka = embedded::testing::kafka(&[("accounts", 4)]);
    let mut config = KafkaConfig::new(kafka.bootstrap_servers(), "example");
    // The mock answers a fetch only when its time is up.
    config.fetch_wait = Duration::from_millis(10);
    let publisher = KafkaPublisher::new(&config)?;
    publish(&Destination::Topic("accounts".to_owned()), &publisher).await?;

    let (reader, late) = (Reader::new(), Reader::new());
    for (group, reader) in [("balance", &reader), ("audit", &late)] {
        let shutdown = CancellationToken::new();
        let (options, status) = (ConsumerOptions::new(group, ["accounts"]), Status::ignore());
        let member = consume(&config, options, reader.clone(), status, shutdown.clone());
        let all = async {
            let all = reader.read.acquire_many(EVENTS as u32).await;
            shutdown.cancel();
            all.map(drop)
        };
        let (member, all) = tokio::join!(member, all);
        member?;
        all?;
    }
    let read_later = late.accounts.lock().values().map(Vec::len).sum();
    reader.print("a stream", read_later);
    Ok(())
}

async fn without() -> Result<(), AnyError> {
    let database = embedded::testing::fresh_database();
    let pool = PgPool::connect(&database.url).await?;
    let queue = PgQueue::new(pool.clone());
    queue.install().await?;
    queue.declare("accounts").await?;
    publish(&Destination::Queue("accounts".to_owned()), &queue).await?;

    let (reader, shutdown) = (Reader::new(), CancellationToken::new());
    // One at a time: what is out of order afterwards is not for want of care.
    let options = ConsumeOptions {
        concurrency: 1,
        ..ConsumeOptions::default()
    };
    let status = Status::ignore();
    let consumer = queue.consume(
        "accounts",
        options,
        reader.clone(),
        status,
        shutdown.clone(),
    );
    let all = async {
        let all = reader.read.acquire_many(EVENTS as u32).await;
        shutdown.cancel();
        all.map(drop)
    };
    let (consumer, all) = tokio::join!(consumer, all);
    consumer?;
    all?;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM mq_message")
        .fetch_one(&pool)
        .await?;
    reader.print("a queue", usize::try_from(left)?);
    Ok(())
}
