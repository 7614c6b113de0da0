//! What this crate costs over a bare client: each transport's messages a second, and the time from sending to handling,
//! beside a loop of its client at the same durability.
//!
//! ```text
//! cargo run --release -p messaging --example beside_bare [-- [PAIRS] [--containers]]
//! ```
//!
//! Kafka is the one that `KAFKA_BROKERS` names and that asks for no account, RabbitMQ the one of `AMQP_URL`; `--containers`
//! starts both for as long as they are measured. Without either, Kafka is librdkafka's mock in this process, whose own work
//! is in both figures, and RabbitMQ is left out. PostgreSQL is a private cluster, with fsync.
//!
//! Bare and ours take turns, PAIRS times (5 unless it says otherwise), after both were warmed up; who is first changes each
//! time. The same on both sides:
//!
//! | | |
//! |---|---|
//! | all | 256 callers who each wait for the confirmation, at most 1,024 messages between sending and handling; for latency 500 messages a second, one by one; 300 bytes, a key and three headers; a handler that notes the time |
//! | Kafka | `acks=all`, idempotent, linger 1 ms; 4 partitions; `group.protocol=consumer`, the offset stored after each message, commits every second, the same limits of what is fetched ahead |
//! | RabbitMQ | one connection to publish and one to consume; a quorum queue, persistent, mandatory, confirmed; prefetch 64, an acknowledgement for each message |
//! | PostgreSQL | fsync; up to 128 messages that wait go into one INSERT; up to 64 are read at once and hidden for 30 s; 4 ms of gathering after a read that found fewer; a bell in the process |
//!
//! What ours does besides is what is measured: a handler behind a trait whose panics are caught, metrics (with a recorder, as
//! in a service), attempts, leases that are extended, key and headers as text, a task for each message of a queue. Kafka's bare
//! consumer never looks at key and headers, though they come: librdkafka takes headers apart only for whoever asks for them.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "figures, and how far it is"
)]

mod amqp;
mod kafka;
mod meter;
mod postgres;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use uuid::Uuid;

use meter::{Figures, Meter, Side};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Pairs unless the command line says otherwise.
const PAIRS: usize = 5;
/// How long each figure of each side is measured: with two figures, two sides, three transports and five pairs 72 s in all.
const TIME: Duration = Duration::from_millis(1200);
/// How long each side is warmed up for each figure: a broker on a virtual machine compiles what it runs.
const WARM_UP: Duration = Duration::from_millis(1500);
/// Messages of a queue that a consumer has in hand: ours handles as many at once, the prefetch of RabbitMQ, the most that are
/// read from PostgreSQL.
const IN_HAND: usize = 64;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let (mut pairs, mut in_containers) = (PAIRS, false);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--containers" => in_containers = true,
            number => pairs = number.parse::<usize>()?.max(1),
        }
    }
    chassis::metrics::install();
    println!(
        "| transport | | bare: median (min) | ours: median (min) | ours / bare: median (min to max) of {pairs} pairs |"
    );
    println!("|---|---|---|---|---|");
    kafka::run(pairs, in_containers).await?;
    amqp::run(pairs, in_containers).await?;
    postgres::run(pairs).await
}

/// Measures both sides in turn, and prints a row for each figure.
async fn compare<B: Side, O: Side>(
    transport: &str,
    pairs: usize,
    meter: &Arc<Meter>,
    bare: &Arc<B>,
    ours: &Arc<O>,
) -> Result<(), AnyError> {
    eprintln!("{transport}: warming up");
    meter.measure(bare, WARM_UP).await?;
    meter.measure(ours, WARM_UP).await?;
    let mut measured = Vec::with_capacity(pairs);
    for pair in 0..pairs {
        let (of_bare, of_ours);
        if pair.is_multiple_of(2) {
            of_bare = meter.measure(bare, TIME).await?;
            of_ours = meter.measure(ours, TIME).await?;
        } else {
            of_ours = meter.measure(ours, TIME).await?;
            of_bare = meter.measure(bare, TIME).await?;
        }
        eprintln!(
            "{transport}, pair {} of {pairs}: bare {:.0}/s, p99 {:.1} ms; ours {:.0}/s, p99 {:.1} ms",
            pair + 1,
            of_bare.per_second,
            of_bare.p99_ms,
            of_ours.per_second,
            of_ours.p99_ms
        );
        measured.push((of_bare, of_ours));
    }
    row(transport, "messages/s", 0, &measured, |of| of.per_second);
    row(transport, "p99, ms", 1, &measured, |of| of.p99_ms);
    Ok(())
}

fn row(
    transport: &str,
    what: &str,
    digits: usize,
    measured: &[(Figures, Figures)],
    figure: fn(&Figures) -> f64,
) {
    let sorted = |of: fn(f64, f64) -> f64| {
        let pairs = measured.iter();
        let mut all: Vec<_> = pairs.map(|(b, o)| of(figure(b), figure(o))).collect();
        all.sort_by(f64::total_cmp);
        (all[all.len() / 2], all[0], all[all.len() - 1])
    };
    let (bare, bare_min, _) = sorted(|bare, _| bare);
    let (ours, ours_min, _) = sorted(|_, ours| ours);
    let (ratio, least, most) = sorted(|bare, ours| ours / bare);
    println!(
        "| {transport} | {what} | {bare:.digits$} ({bare_min:.digits$}) | {ours:.digits$} ({ours_min:.digits$}) | {ratio:.2} ({least:.2} to {most:.2}) |"
    );
}

/// Runs a loop until it is aborted. What ends it is told; the round then finds its messages missing.
fn in_background(
    work: impl Future<Output = Result<(), AnyError>> + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = work.await {
            eprintln!("a consumer or publisher has ended: {error}");
        }
    })
}

/// A name that nobody else uses on the same engine.
fn unique(what: &str) -> String {
    format!("{what}-{}", Uuid::new_v4().simple())
}
