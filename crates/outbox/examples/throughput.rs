//! How many events a second two relays take out of an outbox, against a broker that answers at once.
//!
//! ```text
//! DATABASE_URL=postgres://… cargo run -p outbox --example throughput --release [-- EVENTS]
//! ```
//!
//! Without `DATABASE_URL` it starts a private PostgreSQL, without fsync. (It matters little: the relay's own
//! commits need not wait for the disk.) The broker is none, so this measures the relay and nothing else.
//! The order of each key is checked on the way.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use messaging::{Destination, Message, PublishError, Publisher, Status};
use outbox::{Outbox, RelayOptions};
use parking_lot::Mutex;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio_util::sync::CancellationToken;

/// Events that are sent unless the command line says otherwise.
const EVENTS: u64 = 200_000;
/// Aggregates that they are spread over: four events for each order of a saga.
const EVENTS_PER_KEY: u64 = 4;
const RELAYS: usize = 2;

#[derive(Default)]
struct Instantly {
    last: Mutex<HashMap<String, u64>>,
    count: AtomicU64,
}

#[async_trait]
impl Publisher for Instantly {
    async fn publish(&self, _to: &Destination, message: Message) -> Result<(), PublishError> {
        let n = message
            .header("ce_sequence")
            .and_then(|n| n.parse().ok())
            .unwrap_or_default();
        let key = message.key.unwrap_or_default();
        let last = self.last.lock().insert(key.clone(), n).unwrap_or_default();
        assert_eq!(n, last + 1, "order of {key}");
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

async fn fill(pool: &PgPool, events: u64) -> Result<(), sqlx::Error> {
    // As an order's event looks: about ten headers and 300 bytes. Lanes need only be the same for one key.
    sqlx::query(
        r#"INSERT INTO outbox (lane, destination, key, headers, payload)
           SELECT (n % $2) % 16, 'topic:order-events', 'order-' || n % $2,
               jsonb_build_array(
                   jsonb_build_array('ce_specversion', '1.0'), jsonb_build_array('ce_id', gen_random_uuid()::text),
                   jsonb_build_array('ce_source', '/services/orders'),
                   jsonb_build_array('ce_type', 'agora.order.placed.v1'), jsonb_build_array('ce_time', now()::text),
                   jsonb_build_array('ce_subject', gen_random_uuid()::text),
                   jsonb_build_array('ce_sequence', (n / $2 + 1)::text),
                   jsonb_build_array('ce_correlationid', gen_random_uuid()::text),
                   jsonb_build_array('traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'),
                   jsonb_build_array('content-type', 'application/json')),
               convert_to(repeat('x', 300), 'UTF8')
           FROM generate_series(0, $1 - 1) AS n"#,
    )
    .bind(i64::try_from(events).unwrap_or(i64::MAX))
    .bind(i64::try_from(events / EVENTS_PER_KEY).unwrap_or(i64::MAX))
    .execute(pool)
    .await?;
    Ok(())
}

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
    fill(&setup, events).await?;

    let broker = Arc::new(Instantly::default());
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
