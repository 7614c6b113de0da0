//! A broker was away for long: a million events wait, two relays send them, and one of the relays dies on the way.
//!
//! ```text
//! cargo run -p outbox --example backlog --release [-- EVENTS]
//! ```
//!
//! Fails if an event is missing or out of order, if the process grows with the backlog, if the table or its index are
//! larger at the end than with the whole backlog, or if the last tenth takes much longer than the fifth.

mod load;
mod wait;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use messaging::Status;
use outbox::{Outbox, RelayOptions};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Events that wait unless the command line says otherwise.
const EVENTS: u64 = 1_000_000;
/// What the process may grow by while the backlog is sent, in MiB: two relays with their passes. The broker of this
/// program remembers a number for each key, which is taken off.
const GROWTH_MIB_MAX: u64 = 64;
/// Bytes that the broker remembers for each key.
const KEY_BYTES: u64 = 100;
/// How much slower the last tenth may be than the fifth, when one relay is left.
const SLOWER_MAX: f64 = 2.0;

type AnyError = Box<dyn std::error::Error>;

#[tokio::main]
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the result, and how far it is"
)]
async fn main() -> Result<(), AnyError> {
    let events = std::env::args().nth(1).map_or(Ok(EVENTS), |n| n.parse())?;
    let database = embedded::testing::fresh_database();
    let pool = pool(&database.url).await?;
    outbox::install(&pool).await?;
    eprintln!("writing {events} events");
    load::fill(&pool, load::TOPIC, events).await?;
    let (table, index) = sizes(&pool).await?;
    println!("{events} events wait: table {table} MiB, indexes {index} MiB");

    let (broker, shutdown) = (
        Arc::new(load::Instantly::default()),
        CancellationToken::new(),
    );
    let stays = relay(&database.url, &broker, &shutdown).await?;
    let dies = relay(&database.url, &broker, &shutdown).await?;
    let before = resident_mib();
    let mut tenths = Vec::new();
    for tenth in 1..=10 {
        let begun = Instant::now();
        let sent = || broker.count.load(Ordering::Relaxed);
        wait::until(events * tenth / 10, "events sent", sent).await?;
        tenths.push(begun.elapsed().as_secs_f64());
        if tenth == 4 {
            // As a crash ends it: what it has sent and not deleted comes again.
            dies.abort();
        }
        let (table, index) = sizes(&pool).await?;
        println!(
            "{tenth:2} tenths: {:5.1} s, table {table} MiB, indexes {index} MiB, process {} MiB",
            tenths.iter().sum::<f64>(),
            resident_mib()
        );
    }
    shutdown.cancel();
    stays.await?;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox")
        .fetch_one(&pool)
        .await?;
    let again = broker.again.load(Ordering::Relaxed);
    println!("{again} came twice, {left} are left");

    assert_eq!(left, 0, "every event was sent and deleted");
    let (table_after, index_after) = sizes(&pool).await?;
    let grown = table_after > table || index_after > index;
    assert!(!grown, "the table or an index has grown");
    let remembered = events / load::EVENTS_PER_KEY * KEY_BYTES / 1024 / 1024;
    let growth = resident_mib().saturating_sub(before + remembered);
    assert!(
        growth <= GROWTH_MIB_MAX,
        "the process has grown by {growth} MiB"
    );
    let slower = tenths[9] / tenths[4];
    assert!(
        slower <= SLOWER_MAX,
        "the last tenth took {slower:.1} times as long as the fifth"
    );
    Ok(())
}

/// A relay with a pool of its own, as in another process.
async fn relay(
    url: &str,
    broker: &Arc<load::Instantly>,
    shutdown: &CancellationToken,
) -> Result<JoinHandle<()>, AnyError> {
    Ok(tokio::spawn(outbox::relay(
        pool(url).await?,
        Outbox::new(),
        broker.clone(),
        RelayOptions::default(),
        Status::ignore(),
        shutdown.clone(),
    )))
}

async fn pool(url: &str) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new().max_connections(4).connect(url).await
}

/// The table and its indexes, in MiB.
async fn sizes(pool: &PgPool) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as("SELECT pg_table_size('outbox') / 1048576, pg_indexes_size('outbox') / 1048576")
        .fetch_one(pool)
        .await
}

/// The memory that this process has, in MiB; 0 where the system does not tell it in this way.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}
