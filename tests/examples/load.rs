//! Orders per second through the gateway, beside pgbench with the same SQL on the same cluster.
//!
//! ```text
//! cargo run --release -p scenarios --example load [-- SECONDS [CALLERS]]
//! ```
//!
//! It starts a marketplace of its own on a new data directory, so nothing else is touched, and prints
//! what `docs/performance.md` quotes: times to ready, resident memory, orders/s with latencies, the
//! time from an event's creation to a plain consumer, and pgbench's transactions/s.
#![allow(clippy::print_stdout, reason = "printing figures is what it is for")]

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use scenarios::embedded::Embedded;
use scenarios::figures::{mebibytes, percentile};
use scenarios::{Customer, Marketplace, Shop, wait};

/// The transaction of one accepted order, for pgbench.
const ORDER_SQL: &str = include_str!("../../services/agora/src/load/order.pgbench.sql");

fn main() -> ExitCode {
    if std::env::var_os(scenarios::embedded::CHILD).is_some() {
        return agora::main();
    }
    let mut numbers = std::env::args().skip(1).map(|n| n.parse::<u64>());
    let seconds = numbers
        .next()
        .and_then(Result::ok)
        .unwrap_or(10)
        .clamp(1, 120);
    let callers = numbers
        .next()
        .and_then(Result::ok)
        .unwrap_or(32)
        .clamp(1, 256);

    let since = Instant::now();
    let mut marketplace = Embedded::start(&[]);
    println!(
        "first start to ready   {:>8.2} s",
        since.elapsed().as_secs_f64()
    );
    for stopped in marketplace.stop() {
        println!(
            "stop                   {:>8.2} s",
            stopped.took.as_secs_f64()
        );
    }
    let since = Instant::now();
    marketplace.restart();
    println!(
        "warm start to ready    {:>8.2} s",
        since.elapsed().as_secs_f64()
    );
    let idle = marketplace.resident_kib();
    println!("resident, idle         {:>8.1} MB", mebibytes(idle));

    let shop = marketplace.shop();
    let customer = shop.customer();
    let product = shop
        .catalogue()
        .iter()
        .max_by_key(|p| p["available"].as_i64())
        .expect("goods")["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let tap = marketplace.tap(&["order-events"]);
    // Warm connections, statements and caches.
    drive(
        &marketplace,
        &customer,
        &product,
        Duration::from_secs(2),
        callers,
    );
    let (mut latencies, took) = drive(
        &marketplace,
        &customer,
        &product,
        Duration::from_secs(seconds),
        callers,
    );
    latencies.sort_unstable();
    println!(
        "orders accepted        {:>8.0} /s  ({} in {:.1} s by {callers} callers; p50 {:.1} ms, p99 {:.1} ms)",
        latencies.len() as f64 / took.as_secs_f64(),
        latencies.len(),
        took.as_secs_f64(),
        percentile(&latencies, 50).as_secs_f64() * 1e3,
        percentile(&latencies, 99).as_secs_f64() * 1e3,
    );
    println!(
        "resident, under load   {:>8.1} MB",
        mebibytes(marketplace.resident_kib())
    );
    let placed = latencies.len();
    wait::until_within(Duration::from_secs(120), "all events on the stream", || {
        let placed_seen = tap
            .records()
            .iter()
            .filter(|r| r.header("ce_type").contains("placed"))
            .count();
        (placed_seen >= placed).then_some(())
    });

    drive_at_rate(&marketplace, &customer, &product);
    pgbench(&marketplace, seconds, callers, &customer.id, &product);
    ExitCode::SUCCESS
}

/// Orders as fast as the callers can for a while: the latency of each accepted order, and how long it took.
fn drive(
    marketplace: &Embedded,
    customer: &Customer,
    product: &str,
    time: Duration,
    callers: u64,
) -> (Vec<Duration>, Duration) {
    let all = Mutex::new(Vec::new());
    let since = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..callers {
            let all = &all;
            scope.spawn(move || {
                let shop = Shop::new(&marketplace.endpoint("gateway"));
                let mut own = Vec::new();
                while since.elapsed() < time {
                    let sent = Instant::now();
                    let _ = shop.order(customer, product, 1).expect(201);
                    own.push(sent.elapsed());
                }
                all.lock().extend(own);
            });
        }
    });
    (all.into_inner(), since.elapsed())
}

/// Calm traffic: 100 orders a second for five seconds, and how long each event takes from its creation
/// (just before the commit) to a plain consumer.
fn drive_at_rate(marketplace: &Embedded, customer: &Customer, product: &str) {
    let shop = marketplace.shop();
    let tap = marketplace.tap(&["order-events"]);
    wait::until_within(Duration::from_secs(120), "the stream to be at rest", || {
        let before = tap.records().len();
        std::thread::sleep(Duration::from_secs(2));
        (before > 0 && tap.records().len() == before).then_some(())
    });
    let known = tap.records().len();
    let start = Instant::now();
    let orders = 500;
    for n in 0..orders {
        std::thread::sleep(
            (start + Duration::from_millis(10 * n)).saturating_duration_since(Instant::now()),
        );
        let _ = shop.order(customer, product, 1).expect(201);
    }
    wait::until("their events", || {
        (tap.records().len() >= known + orders as usize).then_some(())
    });
    let mut delays = tap.delays().split_off(known);
    delays.sort_unstable();
    println!(
        "event to consumer               p50 {:.1} ms, p99 {:.1} ms  (100 orders/s, commit included)",
        percentile(&delays, 50).as_secs_f64() * 1e3,
        percentile(&delays, 99).as_secs_f64() * 1e3,
    );
}

fn pgbench(marketplace: &Embedded, seconds: u64, clients: u64, user: &str, product: &str) {
    let Some(program) = find_pgbench() else {
        println!("pgbench                not found; install PostgreSQL's contrib programs");
        return;
    };
    let script = marketplace.directory().with_extension("pgbench.sql");
    let sql = ORDER_SQL
        .replace("USER_ID", user)
        .replace("PRODUCT_ID", product);
    std::fs::write(&script, sql).expect("the script");
    let output = Command::new(program)
        .args([
            "-n",
            "-M",
            "prepared",
            "-j",
            "2",
            "-T",
            &seconds.to_string(),
            "-c",
            &clients.to_string(),
        ])
        .arg("-f")
        .arg(&script)
        .arg(marketplace.database("orders"))
        .output()
        .expect("pgbench");
    let text = String::from_utf8_lossy(&output.stdout);
    let tps = text
        .lines()
        .find(|line| line.starts_with("tps"))
        .unwrap_or("no result");
    println!(
        "pgbench, the same SQL  {tps} {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn find_pgbench() -> Option<PathBuf> {
    let bindir = Command::new("pg_config").arg("--bindir").output().ok()?;
    let bindir = PathBuf::from(String::from_utf8_lossy(&bindir.stdout).trim());
    let mut versions: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|all| {
            all.flatten()
                .map(|entry| entry.path().join("bin"))
                .collect()
        })
        .unwrap_or_default();
    versions.push(bindir);
    versions
        .into_iter()
        .map(|dir| dir.join("pgbench"))
        .find(|program| program.exists())
}
