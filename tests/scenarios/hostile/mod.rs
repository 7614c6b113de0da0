//! Promise 9: one client never costs another.
//!
//! [`no_input_costs_another`] is a property test: what a client controls is made up at random and driven through the
//! gateway to the real services, by several clients at once, while their neighbours shop. [`plays`] are the ways in
//! which it has been broken, one by one.
//!
//! The seed is printed; `AGORA_SEED=… AGORA_CASES=…` plays the same cases again.

mod cases;
mod client;
mod drive;
mod games;
mod http1;
mod http2;
pub(crate) mod plays;
mod text;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use scenarios::embedded::Embedded;
use scenarios::watch::{Finding, Watch};
use scenarios::{neighbours, net};

use client::{Answer, Client};
use drive::{Deed, Done, Journal};

/// Every attempt has 5 s instead of 1 to 3, and the dashboard too: an unoptimised shop needs them when the machine is
/// busy, and a call that was really slow is nobody's doing. What stalls, stalls for longer ([`cases::STALL`]).
pub(crate) const SHOP: &[(&str, &str)] = &[
    ("USERS_CLIENT", ATTEMPTS),
    ("ORDERS_CLIENT", ATTEMPTS),
    ("PRODUCTS_CLIENT", ATTEMPTS),
    ("PRODUCTS_GRPC_CLIENT", ATTEMPTS),
    ("DASHBOARD_DEADLINE", "5s"),
];
const ATTEMPTS: &str = "deadline=9s,attempt=5s";

/// The seed unless `AGORA_SEED` has another one. Always the same: what fails here fails again.
const SEED: u64 = 10;
/// Cases unless `AGORA_CASES` says how many.
const CASES: usize = 2_000;
/// Of which so many at least stall for longer than an attempt.
const STALLS_PERCENT_MIN: usize = 10;
/// Hostile clients, and the last number of the first one's address.
const CLIENTS: u8 = 4;
const CLIENTS_FROM: u8 = 40;
/// The neighbours' addresses, likewise.
const NEIGHBOURS: u8 = 3;
const NEIGHBOURS_FROM: u8 = 20;
/// What the neighbours go round before and after, all together.
const ROUNDS: usize = 9;
/// Failures that a peer may be blamed for: fewer than what opens a breaker. On a busy machine a call may take too
/// long without anybody's doing.
const BLAMED_MAX: u64 = 9;
/// The most cases that a failure prints.
const PRINTED_MAX: usize = 12;

/// Whatever clients send, and however: no breaker opens, no endpoint is ejected, no place and no retry budget is used
/// up by it, none of the neighbours' calls is refused, and the clients themselves get no 5xx that is not theirs.
#[expect(clippy::print_stderr, reason = "a seed that is not printed is lost")]
pub(crate) fn no_input_costs_another(marketplace: &mut Embedded) {
    let (seed, count) = (
        setting("AGORA_SEED", SEED),
        setting("AGORA_CASES", CASES as u64),
    );
    let count = usize::try_from(count).expect("a number of cases");
    let deeds = deeds(seed, count);
    let stalls = deeds.iter().filter(|deed| deed.stalls()).count();
    eprintln!("AGORA_SEED={seed} AGORA_CASES={count}, of which {stalls} stall");
    assert!(stalls * 100 >= count * STALLS_PERCENT_MIN, "{stalls} stall");

    let others: Vec<_> = (0..NEIGHBOURS)
        .map(|n| net::loopback(NEIGHBOURS_FROM + n))
        .collect();
    let others = neighbours::sign_up(marketplace, &others);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| Client::new(marketplace, net::loopback(CLIENTS_FROM + n)))
        .collect();
    let failed = runtime().block_on(async {
        let shopping = others.shop();
        Watch::calm(marketplace).await;
        shopping.stop().await;
        let watch = Arc::new(Watch::start(marketplace).await);
        let shopping = Arc::new(others.shop());
        shopping.rounds(ROUNDS).await;
        let journal = Journal::default();
        let enough = {
            let (watch, shopping) = (Arc::clone(&watch), Arc::clone(&shopping));
            move || !watch.findings().is_empty() || !shopping.refused().is_empty()
        };
        let since = Instant::now();
        drive::all(&clients, &deeds, &journal, enough).await;
        let took = since.elapsed();
        if watch.findings().is_empty() && shopping.refused().is_empty() {
            shopping.rounds(ROUNDS).await;
        }
        let watch = Arc::into_inner(watch).expect("the only one");
        let calls = Arc::into_inner(shopping)
            .expect("the only one")
            .stop()
            .await;
        let report = watch.stop().await;
        let done = journal.all();
        eprintln!("{} cases in {took:.1?}: {:?}", done.len(), answers(&done));
        eprintln!(
            "{} calls of the neighbours; blamed: {:?}",
            calls.len(),
            report.blamed
        );
        let mut failed = complaints(&report.findings, &report.blamed, &done);
        let refused = calls.iter().filter_map(|call| {
            let why = call.refused.as_ref()?;
            Some(format!("a neighbour's call, {}: {why}", call.what))
        });
        failed.extend(refused.take(PRINTED_MAX));
        failed
    });
    assert!(
        failed.is_empty(),
        "AGORA_SEED={seed} AGORA_CASES={count}:\n{}",
        failed.join("\n")
    );
}

fn setting(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text}")),
        Err(_) => otherwise,
    }
}

/// The cases of a seed, one in twenty of them a game.
fn deeds(seed: u64, count: usize) -> Vec<Deed> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let deed: BoxedStrategy<Deed> = proptest::prop_oneof![
        19 => cases::case().prop_map(Deed::Case),
        1 => games::game().prop_map(Deed::Game),
    ]
    .boxed();
    let mut one = || {
        deed.new_tree(&mut runner)
            .expect("a strategy without filters")
            .current()
    };
    (0..count).map(|_| one()).collect()
}

/// How often which answer came.
fn answers(done: &[Done]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for done in done {
        let answer = match &done.answer {
            Answer::None(_) => "none".to_owned(),
            Answer::Left => "left".to_owned(),
            Answer::Late => "late".to_owned(),
            Answer::Http { status, .. } => status.to_string(),
            Answer::Grpc { code, .. } => format!("gRPC {code}"),
        };
        *counts.entry(answer).or_default() += 1;
    }
    counts
}

fn complaints(findings: &[Finding], blamed: &BTreeMap<String, u64>, done: &[Done]) -> Vec<String> {
    let mut failed = Vec::new();
    for finding in findings {
        failed.push(finding.what.clone());
    }
    for (what, count) in blamed.iter().filter(|(_, count)| **count > BLAMED_MAX) {
        failed.push(format!("{what}: {count}"));
    }
    failed.extend(done.iter().filter_map(Done::complaint).take(PRINTED_MAX));
    if let Some(first) = findings.first() {
        failed.push(format!("when this was seen first: {}", first.what));
        let mut near: Vec<_> = done.iter().filter(|done| done.is_near(first.at)).collect();
        near.sort_by_key(|done| (!done.is_loud(), done.number));
        let near = near.iter().take(PRINTED_MAX);
        failed.extend(near.map(|done| format!("{:?} {done}", done.answer)));
    }
    failed
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}
