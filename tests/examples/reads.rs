//! The same read by every door: bytes, the gateway's CPU, and how long it takes at an equal rate.
//!
//! ```text
//! cargo run --release -p scenarios --example reads [-- RATE SECONDS]
//! ```
//!
//! A customer with ten orders of ten goods reads who they are, their orders and the goods in them: over REST in three
//! calls, over both versions; over GraphQL in one; over gRPC in three calls to the services themselves, since the
//! gateway has no gRPC. Then the dashboard, and what it is made of asked by GraphQL: as many orders, and as many goods as the
//! gateway picks the recommended ones from.
//!
//! What is measured, and how:
//! - CPU is of the gateway alone: all other services are one process, callers another.
//! - Ways take turns, in rounds whose order is reversed each time, so that a machine that gets slower is no way's fault. CPU and
//!   its ratio to REST are the medians of the rounds, with the lowest and the highest.
//! - The rate is the same for all, and a read's time counts from when it was due, also if its callers were busy then. A rate that
//!   is not held ends the program.
//! - Connections are open, and have been used, before the first read that counts.
//! - Bytes are those of both directions on such a connection, with headers and frames.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing figures is what it is for"
)]

mod reading;

use std::net::TcpListener;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use chassis::{Shutdown, config};
use parking_lot::Mutex;
use reading::{Reader, Way};
use scenarios::Marketplace;
use scenarios::embedded::{CHILD, Embedded};
use tokio::runtime::Builder;

/// With this in its environment the executable is a gateway.
const GATEWAY: &str = "AGORA_READS_GATEWAY";
/// Callers who share the rate.
const CALLERS: usize = 16;
/// How often each way has its turn.
const ROUNDS: u32 = 5;
/// The longest measurement of one way, in seconds: the customer's token lives for fifteen minutes, and there are six ways.
const SECONDS_MAX: u32 = 120;
/// How late the last read of a turn may end.
const LATE_MAX: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    if std::env::var_os(CHILD).is_some() {
        return agora::main();
    }
    if std::env::var_os(GATEWAY).is_some() {
        return be_gateway();
    }
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u32| {
        arguments
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(default)
    };
    let (rate, seconds) = (number(100), number(20).clamp(ROUNDS, SECONDS_MAX));
    let marketplace = Embedded::start(&[]);
    let gateway = Gateway::start(&marketplace);
    let reader = Reader::new(&marketplace, &gateway.url);
    let bytes = reader.bytes();
    let turns = in_turns(&reader, &gateway, rate, rate * seconds / ROUNDS);
    println!(
        "way                     calls  bytes  CPU of the gateway       to REST              p50       p99"
    );
    for (n, way) in Way::ALL.into_iter().enumerate() {
        let ratio = |round: &Vec<Turn>| round[n].cpu_us / round[way.compared_with()].cpu_us;
        let cpu = Spread::of(turns.iter().map(|round| round[n].cpu_us));
        let ratio = Spread::of(turns.iter().map(ratio));
        let mut took: Vec<_> = turns.iter().flat_map(|round| &round[n].took).collect();
        took.sort();
        let at = |part: usize| took[(took.len() - 1) * part / 100].as_secs_f64() * 1_000.0;
        println!(
            "{:<22} {:>6} {:>6} {:>5.0} us ({:.0} to {:.0}) {:>6.2} × ({:.2} to {:.2}) {:>6.2} ms {:>6.2} ms",
            way.name(),
            way.calls(),
            bytes[n],
            cpu.median,
            cpu.lowest,
            cpu.highest,
            ratio.median,
            ratio.lowest,
            ratio.highest,
            at(50),
            at(99)
        );
    }
    ExitCode::SUCCESS
}

/// Measures all ways, round after round.
fn in_turns(reader: &Reader, gateway: &Gateway, rate: u32, reads: u32) -> Vec<Vec<Turn>> {
    let round = |round: u32| {
        eprintln!("round {} of {ROUNDS}", round + 1);
        let mut turns: Vec<_> = Way::ALL.into_iter().enumerate().collect();
        if round % 2 == 1 {
            turns.reverse();
        }
        let measured = turns.into_iter();
        let mut measured: Vec<_> = measured
            .map(|(n, way)| (n, measure(reader, gateway, way, rate, reads)))
            .collect();
        measured.sort_by_key(|(n, _)| *n);
        measured.into_iter().map(|(_, turn)| turn).collect()
    };
    (0..ROUNDS).map(round).collect()
}

/// What several rounds gave.
struct Spread {
    lowest: f64,
    median: f64,
    highest: f64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<_> = figures.collect();
        figures.sort_by(f64::total_cmp);
        Self {
            lowest: figures[0],
            median: figures[figures.len() / 2],
            highest: figures[figures.len() - 1],
        }
    }
}

/// What one way gave in one round.
struct Turn {
    /// Of the gateway, for each read.
    cpu_us: f64,
    /// Each read, from when it was due.
    took: Vec<Duration>,
}

/// Reads `rate` times a second, so many reads, each when it is due.
fn measure(reader: &Reader, gateway: &Gateway, way: Way, rate: u32, reads: u32) -> Turn {
    let callers = (0..CALLERS).map(|_| {
        let mut caller = reader.connect();
        caller.read(way);
        caller
    });
    let callers: Vec<_> = callers.collect();
    let took = Mutex::new(Vec::new());
    let (before, start) = (gateway.cpu(), Instant::now());
    std::thread::scope(|scope| {
        for (first, mut caller) in (0..).zip(callers) {
            let took = &took;
            scope.spawn(move || {
                for n in (first..reads).step_by(CALLERS) {
                    let due = start + Duration::from_secs(1) / rate * n;
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    caller.read(way);
                    took.lock().push(due.elapsed());
                }
            });
        }
    });
    let cpu = gateway.cpu() - before;
    let late = start
        .elapsed()
        .saturating_sub(Duration::from_secs(1) / rate * reads);
    assert!(
        late < LATE_MAX,
        "{}: {rate} a second are not held",
        way.name()
    );
    Turn {
        cpu_us: cpu.as_secs_f64() * 1e6 / f64::from(reads),
        took: took.into_inner(),
    }
}

/// A gateway in a process of its own, in front of the marketplace's services. It ends when this is dropped.
struct Gateway {
    child: Child,
    url: String,
}

impl Gateway {
    fn start(marketplace: &Embedded) -> Self {
        let free = || {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            listener.local_addr().expect("an address").port()
        };
        let (http, admin) = (free(), free());
        let child = Command::new(std::env::current_exe().expect("a path"))
            .env(GATEWAY, "1")
            .env("HTTP_PORT", http.to_string())
            .env("ADMIN_PORT", admin.to_string())
            .env("USERS_URL", marketplace.endpoint("users"))
            .env("ORDERS_URL", marketplace.endpoint("orders"))
            .env("PRODUCTS_URL", marketplace.endpoint("products"))
            .env("PRODUCTS_GRPC_URL", marketplace.endpoint("products_grpc"))
            .stdout(Stdio::null())
            .spawn()
            .expect("a process");
        let url = format!("http://127.0.0.1:{http}");
        Self { child, url }
    }

    /// The CPU time that its threads have had, as the scheduler counts it: to the nanosecond, where the kernel's accounts of a
    /// process count in hundredths of a second.
    fn cpu(&self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let nanoseconds = threads.expect("Linux").filter_map(|thread| {
            let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanoseconds.sum())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn be_gateway() -> ExitCode {
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let config: gateway::Config = config::try_from_args(["gateway"]).expect("a configuration");
        let listeners = gateway::Listeners::bind(&config).await.expect("ports");
        let end = gateway::run(config, listeners, Shutdown::on_signals()).await;
        end.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
    })
}
