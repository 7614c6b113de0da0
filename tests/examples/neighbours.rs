//! What a client that misbehaves costs its neighbours: their calls alone and beside it.
//!
//! ```text
//! cargo run --release -p scenarios --example neighbours [-- ROUNDS [WAY]...]
//! ```
//!
//! For each [`Way`], or those that are named (`OwnSignIns`), a marketplace of its own; the neighbours come from addresses of their own, and then from the
//! attacker's, as behind one NAT. It prints what `docs/performance.md` quotes: calls, how many of them were refused,
//! and their 99th percentile as a ratio.
#![allow(clippy::print_stdout, reason = "printing figures is what it is for")]

use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use scenarios::embedded::{CHILD, Embedded};
use scenarios::hostile::{Attacker, Way};
use scenarios::neighbours::{self, Call};
use scenarios::net::loopback;

/// Neighbours at once.
const NEIGHBOURS: u8 = 3;
/// How long an attack gets to unfold before it is measured.
const UNFOLDS: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    if std::env::var_os(CHILD).is_some() {
        return agora::main();
    }
    let mut arguments = std::env::args().skip(1);
    let rounds = arguments.next().and_then(|text| text.parse().ok());
    let rounds: usize = rounds.unwrap_or(150);
    let named: Vec<_> = arguments.collect();
    let is_named = |way: &Way| named.is_empty() || named.contains(&format!("{way:?}"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    println!("way                from       calls  refused  p99 alone  p99 beside  ratio  answers");
    for way in Way::ALL.into_iter().filter(is_named) {
        for same in [false, true] {
            runtime.block_on(measure(way, same, rounds));
        }
    }
    ExitCode::SUCCESS
}

async fn measure(way: Way, same: bool, rounds: usize) {
    let attackers = loopback(1);
    let start = tokio::task::spawn_blocking(move || {
        let marketplace = Embedded::start(&[]);
        let attacker = Attacker::new(&marketplace, attackers);
        attacker.prepare(&marketplace, way);
        let from = |n: u8| if same { attackers } else { loopback(2 + n) };
        let addresses: Vec<IpAddr> = (0..NEIGHBOURS).map(from).collect();
        let others = neighbours::sign_up(&marketplace, &addresses);
        (marketplace, attacker, others)
    });
    let (marketplace, attacker, others) = start.await.expect("a marketplace");
    // Warm connections, statements and caches.
    let shopping = others.shop();
    shopping.rounds(rounds / 5).await;
    shopping.stop().await;
    let shopping = others.shop();
    shopping.rounds(rounds).await;
    let alone = shopping.stop().await;
    let attack = attacker.attack(way);
    tokio::time::sleep(UNFOLDS).await;
    let shopping = others.shop();
    shopping.rounds(rounds).await;
    let beside = shopping.stop().await;
    let counts = attack.counts.all();
    drop(attack);
    let refused = beside.iter().filter(|call| call.refused.is_some()).count();
    let (before, after) = (p99_ms(&alone), p99_ms(&beside));
    println!(
        "{:<18} {:<9} {:>6} {refused:>8} {before:>7.1} ms {after:>8.1} ms {:>6.2}  {counts:?}",
        format!("{way:?}"),
        if same { "the same" } else { "another" },
        beside.len(),
        after / before,
    );
    // Stopping waits for the process, which must not hold the runtime.
    tokio::task::spawn_blocking(move || drop(marketplace))
        .await
        .ok();
}

fn p99_ms(calls: &[Call]) -> f64 {
    let mut took: Vec<_> = calls.iter().map(|call| call.took).collect();
    took.sort_unstable();
    let p99 = took.get(took.len() * 99 / 100).copied().unwrap_or_default();
    p99.as_secs_f64() * 1e3
}
