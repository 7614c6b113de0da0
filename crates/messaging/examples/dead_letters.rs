//! Payments that a handler with a mistake cannot book: passed over, and parked until the handler is mended.
//!
//! ```sh
//! cargo run -p messaging --example dead_letters
//! cargo run -p messaging --example dead_letters -- without
//! ```
//!
//! The queue is the one in PostgreSQL, in a private cluster; RabbitMQ and Kafka park alike.
#![allow(clippy::print_stdout, reason = "the figures")]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use messaging::dead_letters::{Act, DeadLetterStore as _, Filter, Sweep};
use messaging::pg_queue::{PgDeadLetters, PgQueue};
use messaging::{
    ConsumeOptions, Delivery, Destination, Handler, HandlerError, Message, Publisher as _,
    Queue as _, Status,
};
use parking_lot::Mutex;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

type AnyError = Box<dyn std::error::Error>;

const PAYMENTS: usize = 100;
/// Every tenth payment is in a currency that the handler does not know at first.
const FOREIGN: usize = 10;
const LOOK: Duration = Duration::from_millis(10);

/// Books payments, each as often as it gets it.
#[derive(Default)]
struct Books {
    mended: AtomicBool,
    booked: Mutex<HashMap<String, usize>>,
}

impl Books {
    fn book(&self, payment: &str) -> Result<(), &'static str> {
        if payment.ends_with("GBP") && !self.mended.load(Ordering::Relaxed) {
            return Err("no such currency: GBP");
        }
        *self.booked.lock().entry(payment.to_owned()).or_default() += 1;
        Ok(())
    }

    fn mend(&self) {
        self.mended.store(true, Ordering::Relaxed);
    }

    fn count(&self) -> usize {
        self.booked.lock().len()
    }

    fn print(&self) {
        let booked = self.booked.lock();
        let twice = booked.values().filter(|times| **times > 1).count();
        println!("  booked in the end       {:>4}", booked.len());
        println!("  booked twice            {twice:>4}");
        println!("  lost                    {:>4}", PAYMENTS - booked.len());
    }
}

fn payments() -> impl Iterator<Item = String> {
    (0..PAYMENTS).map(|n| {
        let currency = if n % FOREIGN == 0 { "GBP" } else { "EUR" };
        format!("payment {n}: 5 {currency}")
    })
}

// region: handler
/// What is against the rules is so at the tenth try as well: it is parked at once, with the reason.
#[async_trait::async_trait]
impl Handler for Books {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let payment = String::from_utf8_lossy(&delivery.message.payload);
        self.book(&payment).map_err(HandlerError::permanent)
    }
}
// endregion: handler

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    match std::env::args().nth(1).as_deref() {
        Some("without") => without(),
        _ => with().await?,
    }
    Ok(())
}

/// Whoever tries for ever stands still; so this one passes over what fails.
fn without() {
    let books = Books::default();
    println!("passed over: {PAYMENTS} payments");
    let failed = payments().filter(|payment| books.book(payment).is_err());
    println!("  failed                  {:>4}", failed.count());
    books.mend();
    println!("the handler is mended");
    books.print();
}

async fn with() -> Result<(), AnyError> {
    let database = embedded::testing::fresh_database();
    let pool = PgPool::connect(&database.url).await?;
    let queue = PgQueue::new(pool.clone());
    queue.install().await?;
    queue.declare("payments").await?;
    let (books, shutdown) = (Arc::new(Books::default()), CancellationToken::new());
    let worker = tokio::spawn({
        let (queue, handler, shutdown) = (queue.clone(), books.clone(), shutdown.clone());
        let (options, status) = (ConsumeOptions::default(), Status::ignore());
        async move {
            queue
                .consume("payments", options, handler, status, shutdown)
                .await
        }
    });
    println!("parked: {PAYMENTS} payments");
    let to = Destination::Queue("payments".to_owned());
    for payment in payments() {
        queue.publish(&to, Message::new(payment)).await?;
    }
    let letters = PgDeadLetters::of(pool, ["payments"]);
    let foreign = PAYMENTS / FOREIGN;
    while books.count() + foreign < PAYMENTS
        || letters.count("payments.dead").await? < foreign as u64
    {
        tokio::time::sleep(LOOK).await;
    }
    println!("  booked                  {:>4}", books.count());
    let parked = letters.count("payments.dead").await?;
    println!("  parked                  {parked:>4}");

    books.mend();
    println!("the handler is mended");
    // region: redrive
    let all = Sweep {
        filter: Filter::default(),
        limit: u64::MAX,
        per_second: None,
        time_max: None,
    };
    let swept = all.run(&letters, Act::Redrive, &mut |_, _| {}).await?;
    // endregion: redrive
    println!("  sent again              {:>4}", swept.settled);
    while books.count() < PAYMENTS {
        tokio::time::sleep(LOOK).await;
    }
    shutdown.cancel();
    worker.await??;
    books.print();
    Ok(())
}
