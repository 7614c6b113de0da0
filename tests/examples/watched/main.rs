//! What being watched costs: CPU for an order, how late an arrow is, and a shop under load with three pages open.
//!
//! ```text
//! cargo run --release -p scenarios --example watched [-- SECONDS]
//! ```
//!
//! It starts two marketplaces of its own: in one the observatory is told of no ports (`OBSERVED=;`), so that nobody listens to
//! hops, in the other it follows all of them. Orders come at one rate to either in turn, SECONDS long (10), with nobody at the
//! gateway, with a reader of all hops and with a page. Then 100 a second for 30 s with three of both. What it prints are rows of
//! `docs/performance.md`; how far it is stands on standard error. With 10 s it takes less than four minutes. It fails where the
//! shop under load is not as it has to be.
//!
//! CPU is all that the kernel has counted meanwhile, also for what runs by the clock, over the orders; a column says how much that
//! is without orders. Watchers are tasks of this program: a browser's drawing is in no figure.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing figures, and how far it is, is what it is for"
)]

mod busy;
mod costs;
#[path = "../goods/mod.rs"]
mod goods;
mod rows;
mod stage;
mod start;

use std::collections::BTreeMap;
use std::process::ExitCode;

use scenarios::embedded::{CHILD, Embedded};
use scenarios::watchers::Seen;
use tokio::runtime::Builder;

use busy::Busy;
use costs::{Costs, RATE, Way};
use stage::Stage;
use start::Start;

const ROUNDS: usize = 3;
const STARTS: usize = 3;
/// The services whose hops the observatory follows.
const FOLLOWED: usize = 5;

fn main() -> ExitCode {
    if std::env::var_os(CHILD).is_some() {
        return agora::main();
    }
    let seconds = std::env::args().nth(1).and_then(|n| n.parse().ok());
    let seconds: u32 = seconds.unwrap_or(10).clamp(1, 60);
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let _inside = runtime.enter();

    eprintln!("two marketplaces start");
    let bare = Stage::open(Embedded::start(&[("OBSERVED", ";")]), 0);
    let mut watched = Embedded::start(&[]);
    let starts: Vec<_> = (0..STARTS).map(|_| Start::again(&mut watched)).collect();
    let watched = Stage::open(watched, FOLLOWED);

    let mut seen = Seen::default();
    let mut costs: BTreeMap<Way, Costs> = BTreeMap::new();
    for round in 1..=ROUNDS {
        for way in Way::ALL {
            eprintln!("round {round} of {ROUNDS}: {}", way.name());
            let stage = if way == Way::Nobody { &bare } else { &watched };
            let costs = costs.entry(way).or_default();
            costs.add(way, stage, seconds, &runtime, &mut seen);
        }
    }
    eprintln!("{}", busy::what());
    let busy = Busy::measure(&watched, &runtime);

    let rounds = format!("{RATE} orders a second, {ROUNDS} rounds of {seconds} s");
    println!(
        "| CPU for an order: min, median; {rounds} | our process | PostgreSQL | without orders |"
    );
    println!("|---|---|---|---|");
    for (way, costs) in &costs {
        costs.print(*way);
    }
    println!("\n| what | target | measured | |\n|---|---|---|---|");
    rows::late(&format!("at {RATE} orders a second"), &mut seen);
    let holds = busy.holds();
    busy.print();
    Start::print(&starts);
    // In no table: with one of these the figures are not worth it.
    let refused: usize = costs.values().map(Costs::refused).sum();
    if refused > 0 || !seen.failures.is_empty() {
        eprintln!(
            "{rounds}: {refused} orders refused, watchers failed: {:?}",
            seen.failures
        );
        return ExitCode::FAILURE;
    }
    if !holds {
        eprintln!("{}: not as it has to be", busy::what());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
