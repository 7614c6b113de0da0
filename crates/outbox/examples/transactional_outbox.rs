//! A change in the database and the news of it, while processes die, commits fail and the broker is away.
//!
//! ```sh
//! cargo run -p outbox --example transactional_outbox
//! cargo run -p outbox --example transactional_outbox -- without
//! ```
#![allow(clippy::print_stdout, reason = "the figures")]

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use envelope::{Event, EventData};
use messaging::{Destination, Message, PublishError, Publisher, Status};
use outbox::{Outbox, RelayOptions};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

type AnyError = Box<dyn std::error::Error>;

const INVOICES: i32 = 100;
/// The invoices during which the broker is away.
const OUTAGE: Range<i32> = 40..50;

#[derive(Serialize, Deserialize)]
struct InvoicePaid {
    invoice: i32,
}

impl EventData for InvoicePaid {
    const TYPE: &'static str = "example.invoice.paid.v1";
    const SOURCE: &'static str = "/services/invoices";
    fn subject(&self) -> String {
        self.invoice.to_string()
    }
}

/// What happens to the process that pays an invoice.
enum Fate {
    Well,
    /// It dies between its two writes.
    Dies,
    /// The database refuses the commit: a conflict, a lost connection.
    Refused,
}

fn fate(invoice: i32) -> Fate {
    match invoice % 10 {
        3 => Fate::Dies,
        7 => Fate::Refused,
        _ => Fate::Well,
    }
}

/// Remembers whose payment it was told of.
#[derive(Default)]
struct Broker {
    away: AtomicBool,
    told: Mutex<HashSet<i32>>,
}

impl Broker {
    fn at(&self, invoice: i32) {
        let away = OUTAGE.contains(&invoice);
        self.away.store(away, Ordering::Relaxed);
    }
}

#[async_trait]
impl Publisher for Broker {
    async fn publish(&self, _to: &Destination, message: Message) -> Result<(), PublishError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(PublishError::Unavailable("nobody answers".to_owned()));
        }
        let invoice: Option<i32> = message.key.and_then(|key| key.parse().ok());
        self.told.lock().extend(invoice);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    println!("{INVOICES} invoices; every tenth process dies in the middle, every tenth commit is");
    println!("refused, the broker is away during {}", OUTAGE.len());
    println!("                             paid  told  paid, not told  told, not paid");
    match std::env::args().nth(1).as_deref() {
        Some("without") => {
            print("publish after the commit", publish_after().await?);
            print("publish before the commit", publish_before().await?);
        }
        _ => print("outbox", with_outbox().await?),
    }
    Ok(())
}

fn print(title: &str, (paid, told): (HashSet<i32>, HashSet<i32>)) {
    println!(
        "{title:<27} {:>5} {:>5} {:>15} {:>15}",
        paid.len(),
        told.len(),
        paid.difference(&told).count(),
        told.difference(&paid).count()
    );
}

/// A database with unpaid invoices.
async fn database() -> Result<PgPool, AnyError> {
    let database = embedded::testing::fresh_database();
    let pool = PgPool::connect(&database.url).await?;
    sqlx::raw_sql("CREATE TABLE invoice (id int PRIMARY KEY, paid bool NOT NULL DEFAULT false)")
        .execute(&pool)
        .await?;
    sqlx::query("INSERT INTO invoice SELECT generate_series(0, $1 - 1)")
        .bind(INVOICES)
        .execute(&pool)
        .await?;
    outbox::install(&pool).await?;
    Ok(pool)
}

async fn paid(pool: &PgPool) -> Result<HashSet<i32>, AnyError> {
    let paid = sqlx::query_scalar("SELECT id FROM invoice WHERE paid");
    Ok(paid.fetch_all(pool).await?.into_iter().collect())
}

const PAY: &str = "UPDATE invoice SET paid = true WHERE id = $1";

fn topic() -> Destination {
    Destination::Topic("invoice-events".to_owned())
}

fn message(invoice: i32) -> Message {
    Message::new("paid").with_key(invoice.to_string())
}

async fn publish_after() -> Result<(HashSet<i32>, HashSet<i32>), AnyError> {
    let (pool, broker) = (database().await?, Broker::default());
    for invoice in 0..INVOICES {
        broker.at(invoice);
        let mut tx = pool.begin().await?;
        sqlx::query(PAY).bind(invoice).execute(&mut *tx).await?;
        if matches!(fate(invoice), Fate::Refused) {
            continue;
        }
        tx.commit().await?;
        if matches!(fate(invoice), Fate::Dies) {
            continue;
        }
        // It has been paid: an error here can only be logged.
        let _lost = broker.publish(&topic(), message(invoice)).await;
    }
    Ok((paid(&pool).await?, broker.told.into_inner()))
}

async fn publish_before() -> Result<(HashSet<i32>, HashSet<i32>), AnyError> {
    let (pool, broker) = (database().await?, Broker::default());
    for invoice in 0..INVOICES {
        broker.at(invoice);
        let mut tx = pool.begin().await?;
        sqlx::query(PAY).bind(invoice).execute(&mut *tx).await?;
        // Without the broker nothing can be paid.
        if broker.publish(&topic(), message(invoice)).await.is_err() {
            continue;
        }
        if matches!(fate(invoice), Fate::Well) {
            tx.commit().await?;
        }
    }
    Ok((paid(&pool).await?, broker.told.into_inner()))
}

async fn with_outbox() -> Result<(HashSet<i32>, HashSet<i32>), AnyError> {
    let (pool, broker) = (database().await?, Arc::new(Broker::default()));
    let (outbox, shutdown) = (Outbox::new(), CancellationToken::new());
    // region: relay
    let relay = tokio::spawn(outbox::relay(
        pool.clone(),
        outbox.clone(),
        broker.clone(),
        RelayOptions::default(),
        Status::ignore(),
        shutdown.clone(),
    ));
    // endregion: relay
    for invoice in 0..INVOICES {
        broker.at(invoice);
        pay(&pool, &outbox, invoice).await?;
    }
    broker.at(INVOICES);
    // Until everything that was committed has been sent.
    while sqlx::query("SELECT FROM outbox LIMIT 1")
        .fetch_optional(&pool)
        .await?
        .is_some()
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    shutdown.cancel();
    relay.await?;
    let told = broker.told.lock().clone();
    Ok((paid(&pool).await?, told))
}

async fn pay(pool: &PgPool, outbox: &Outbox, invoice: i32) -> Result<(), AnyError> {
    // region: pay
    let mut tx = outbox.begin(pool).await?;
    sqlx::query(PAY).bind(invoice).execute(&mut *tx).await?;
    if matches!(fate(invoice), Fate::Dies) {
        return Ok(()); // the change is rolled back, and nothing was told
    }
    tx.tell(&topic(), &Event::new(InvoicePaid { invoice }))?;
    if matches!(fate(invoice), Fate::Refused) {
        return Ok(()); // the same
    }
    tx.commit().await?; // both, and the relay is woken
    // endregion: pay
    Ok(())
}
