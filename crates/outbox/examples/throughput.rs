//! How many events a second two relays take out of an outbox, against a broker that answers at once.
//!
//! ```text
//! DATABASE_URL=postgres://… cargo run -p outbox --example throughput --release [-- EVENTS]
//! ```
//!
//! Without `DATABASE_URL` it starts a private PostgreSQL, without fsync. (It matters little: the relay's own
//! commits need not wait for the disk.) The broker is none, so this measures the relay and nothing else.
//! The order of each key is checked on the way.

mod load;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use messaging::Status;
use outbox::{Outbox, RelayOptions};
use sqlx::postgres::PgPoolOptions;
use tokio_util::sync::CancellationToken;

/// Events that are sent unless the command line says otherwise.
const EVENTS: u64 = 200_000;
const RELAYS: usize = 2;

#[tokio::main]
#[allow(clippy::print_stdout, reason = "the result")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let events = std::env::args().nth(1).map_or(Ok(EVENTS), |n| n.parse())?;
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
    load::fill(&setup, events).await?;

    let broker = Arc::new(load::Instantly::default());
    let shutdown = CancellationToken::new();
    let began = Instant::now();
    let mut relays = Vec::new();
    for _ in 0..RELAYS {
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .connect(&url)
            .await?;
        relays.push(tokio::spawn(outbox::relay(
            pool,
            Outbox::new(),
            broker.clone(),
            RelayOptions::default(),
            Status::ignore(),
            shutdown.clone(),
        )));
    }
    while broker.count.load(Ordering::Relaxed) < events {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = began.elapsed();
    shutdown.cancel();
    for relay in relays {
        relay.await?;
    }
    println!(
        "{events} events in {took:.2?}: {:.0} events/s with {RELAYS} relays",
        events as f64 / took.as_secs_f64()
    );
    Ok(())
}
