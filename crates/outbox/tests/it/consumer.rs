//! The idempotent consumer, driven as a broker drives it.

mod failures;
mod once;
mod together;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use envelope::Event;
use messaging::{Delivery, Handler, HandlerError, Message};
use outbox::{
    Consumers, EventHandler, Failure, IdempotentConsumer, Outbox, Reads, Received, Transaction,
};
use parking_lot::Mutex;
use sqlx::PgPool;
use tokio::sync::Semaphore;

use crate::fixture::{Counted, Service, queue};
use crate::payloads::Renamed;

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
