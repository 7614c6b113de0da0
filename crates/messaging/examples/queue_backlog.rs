//! Nobody worked for long: a million messages wait in the PostgreSQL queue, and more come while they are worked off.
//!
//! ```text
//! cargo run -p messaging --example queue_backlog --release [-- MESSAGES]
//! ```
//!
//! Fails if a message is missing, if the process grows with the backlog, if the table bloats, or if the last tenth takes
//! much longer than the first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use messaging::pg_queue::PgQueue;
use messaging::{ConsumeOptions, Delivery, Destination, Handler, HandlerError, Message};
use messaging::{Publisher as _, Queue as _, Status};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio_util::sync::CancellationToken;

/// Messages that wait unless the command line says otherwise.
const MESSAGES: u64 = 1_000_000;
/// New messages for each tenth of the backlog.
const NEW: u64 = 200;
/// What the process may grow by, in MiB.
const GROWTH_MIB_MAX: u64 = 64;
/// How much larger table and indexes may become than with the whole backlog: rows that are claimed are written anew, and
/// vacuum makes room for them.
const LARGER_MAX: f64 = 1.5;
/// How much slower the last tenth may be than the first.
const SLOWER_MAX: f64 = 2.0;
/// How long no message may be handled: the consumer has ended then, and so does this program.
const STILL_MAX: Duration = Duration::from_secs(60);

struct Counter(AtomicU64);

impl Counter {
    /// Returns when so many were handled.
    async fn reaches(&self, wanted: u64) -> Result<(), String> {
        let (mut known, mut grown) = (0, Instant::now());
        loop {
            let handled = self.0.load(Ordering::Relaxed);
            if handled >= wanted {
                return Ok(());
            }
            if handled > known {
                (known, grown) = (handled, Instant::now());
            }
            if grown.elapsed() >= STILL_MAX {
                let seconds = STILL_MAX.as_secs();
                return Err(format!(
                    "{handled} of {wanted} handled, and no more for {seconds} s"
                ));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[async_trait]
impl Handler for Counter {
    async fn handle(&self, _delivery: &Delivery) -> Result<(), HandlerError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[tokio::main]
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the result, and how far it is"
)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let messages = std::env::args()
        .nth(1)
        .map_or(Ok(MESSAGES), |n| n.parse())?;
    let database = embedded::testing::fresh_database();
    let pool = PgPoolOptions::new().max_connections(16);
    let pool = pool.connect(&database.url).await?;
    let queue = PgQueue::new(pool.clone());
    queue.install().await?;
    queue.declare("jobs").await?;
    eprintln!("writing {messages} messages");
    fill(&pool, messages).await?;
    let full = size_mib(&pool).await?;
    println!("{messages} messages wait: {full} MiB with indexes");

    let (counter, shutdown) = (
        Arc::new(Counter(AtomicU64::new(0))),
        CancellationToken::new(),
    );
    let consumer = tokio::spawn({
        let (queue, counter, shutdown) = (queue.clone(), counter.clone(), shutdown.clone());
        let options = ConsumeOptions {
            concurrency: 64,
            ..ConsumeOptions::default()
        };
        async move {
            queue
                .consume("jobs", options, counter, Status::ignore(), shutdown)
                .await
        }
    });
    let (before, to) = (resident_mib(), Destination::Queue("jobs".to_owned()));
    let (mut tenths, mut largest) = (Vec::new(), full);
    for tenth in 1..=10 {
        let begun = Instant::now();
        for _ in 0..NEW {
            queue.publish(&to, Message::new("new")).await?;
        }
        counter.reaches(messages * tenth / 10).await?;
        tenths.push(begun.elapsed().as_secs_f64());
        let size = size_mib(&pool).await?;
        largest = largest.max(size);
        println!(
            "{tenth:2} tenths: {:5.1} s, {size} MiB with indexes, process {} MiB",
            tenths.iter().sum::<f64>(),
            resident_mib()
        );
    }
    counter.reaches(messages + 10 * NEW).await?;
    shutdown.cancel();
    consumer.await??;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM mq_message")
        .fetch_one(&pool)
        .await?;

    assert_eq!(left, 0, "every message was handled and deleted");
    let larger = largest as f64 / full as f64;
    assert!(
        larger <= LARGER_MAX,
        "the table became {larger:.1} times as large"
    );
    let growth = resident_mib().saturating_sub(before);
    assert!(
        growth <= GROWTH_MIB_MAX,
        "the process has grown by {growth} MiB"
    );
    let slower = tenths[9] / tenths[0];
    assert!(
        slower <= SLOWER_MAX,
        "the last tenth took {slower:.1} times as long as the first"
    );
    Ok(())
}

/// As many publishers leave it: an event's headers and 300 bytes.
async fn fill(pool: &PgPool, messages: u64) -> Result<(), sqlx::Error> {
    sqlx::query(
        r#"INSERT INTO mq_message (queue, headers, payload)
           SELECT 'jobs', jsonb_build_array(jsonb_build_array('ce_id', gen_random_uuid()::text)),
                  convert_to(repeat('x', 300), 'UTF8')
           FROM generate_series(1, $1)"#,
    )
    .bind(i64::try_from(messages).unwrap_or(i64::MAX))
    .execute(pool)
    .await?;
    Ok(())
}

async fn size_mib(pool: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_total_relation_size('mq_message') / 1048576")
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
