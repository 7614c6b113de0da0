//! 2,000 readers of live updates at once: what each of them holds, and what 100 changes a second cost.
//!
//! ```text
//! cargo run --release -p scenarios --example readers [-- READERS]
//! ```
//!
//! It starts a marketplace of its own. Each reader watches an order of its own through the gateway. Then all orders are
//! cancelled, 100 a second, in turns with as many others that nobody watches, for comparison: the readers are there all the time, and
//! what they cost without a change is a figure of its own. The time to a reader counts from when the change was due, also if those
//! who cancel were busy then; a rate that is not held ends the program. Memory and CPU are of the process of all services;
//! PostgreSQL's are its own.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing figures is what it is for"
)]

mod goods;

use std::net::{IpAddr, SocketAddr};
use std::ops::AddAssign;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use parking_lot::Mutex;
use scenarios::embedded::Embedded;
use scenarios::net::Http1;
use scenarios::{Customer, Marketplace, Shop, cpu, net, wait};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

const CHANGES_PER_SECOND: u32 = 100;
/// Connections of one address: fewer than the server gives it.
const READERS_PER_ADDRESS: usize = 2_000;
/// Callers who place and cancel.
const CALLERS: usize = 16;
/// How often watched and unwatched orders take turns.
const ROUNDS: usize = 4;
/// Two heartbeats of each stream (`EVENTS_HEARTBEAT`): a time in between would count one of them or two.
const QUIET: Duration = Duration::from_secs(30);
/// How late the last change of a round may be answered.
const LATE_MAX: Duration = Duration::from_secs(1);
/// What is kept of a stream from one frame to the next: more than any of the words that are looked for.
const KEPT_BYTES: usize = 32;

/// When the last change of each reader's order was seen.
type Seen = Arc<Mutex<Vec<Option<Instant>>>>;

fn main() -> ExitCode {
    if std::env::var_os(scenarios::embedded::CHILD).is_some() {
        return agora::main();
    }
    // Each reader is a connection of this process.
    chassis::descriptors::raise();
    let readers = std::env::args().nth(1).and_then(|n| n.parse().ok());
    let readers: usize = readers.unwrap_or(2_000);
    let most = readers.to_string();
    let marketplace = Embedded::start(&[("MAX_STREAMS_PER_USER", &most)]);
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    goods::stock_up(&marketplace);
    let shop = marketplace.shop();
    let customer = shop.customer();
    eprintln!("placing {} orders", 2 * readers);
    let unwatched = placed(&marketplace, &shop, &customer, readers);
    let watched = placed(&marketplace, &shop, &customer, readers);

    let before = marketplace.resident_kib();
    let seen: Seen = Arc::new(Mutex::new(vec![None; readers]));
    open(&runtime, &marketplace, &customer, &watched, &seen);
    println!("readers                {readers:>8}");
    let after = marketplace.resident_kib();
    println!(
        "resident, each         {:>8.1} KiB",
        (after as f64 - before as f64) / readers as f64
    );

    eprintln!("nothing changes for {QUIET:?}");
    let idle = cpu_of(&marketplace, || std::thread::sleep(QUIET));
    println!("CPU, nothing changes   {:>8.1} % of a core", idle.percent());
    let (mut due, mut beside, mut alone) = (Vec::new(), Used::default(), Used::default());
    let part = readers.div_ceil(ROUNDS);
    for (round, (watched, unwatched)) in
        watched.chunks(part).zip(unwatched.chunks(part)).enumerate()
    {
        eprintln!("round {} of {ROUNDS}", round + 1);
        beside += cpu_of(&marketplace, || {
            due.extend(cancel(&shop, &customer, watched))
        });
        alone += cpu_of(&marketplace, || cancel(&shop, &customer, unwatched));
    }
    println!(
        "CPU, {CHANGES_PER_SECOND} changes/s     {:>8.1} % of a core",
        beside.percent()
    );
    println!(
        "the same, unwatched    {:>8.1} % of a core",
        alone.percent()
    );
    wait::until("the last changes", || {
        seen.lock().iter().all(Option::is_some).then_some(())
    });
    report(&due, &seen.lock());
    drop(runtime);
    ExitCode::SUCCESS
}

/// Opens a stream for each order, and waits until all of them are open.
fn open(
    runtime: &Runtime,
    marketplace: &Embedded,
    customer: &Customer,
    orders: &[String],
    seen: &Seen,
) {
    let opened = Arc::new(Semaphore::new(0));
    let to = net::address(&marketplace.endpoint("gateway"));
    for (n, order_id) in orders.iter().enumerate() {
        let from = net::loopback(u8::try_from(2 + n / READERS_PER_ADDRESS).expect("few addresses"));
        let (token, order_id) = (customer.token.clone(), order_id.clone());
        let (seen, opened) = (seen.clone(), opened.clone());
        runtime.spawn(async move { read(from, to, &token, &order_id, n, &seen, &opened).await });
    }
    eprintln!("opening {} streams", orders.len());
    wait::until("the readers", || {
        (opened.available_permits() == orders.len()).then_some(())
    });
}

/// How long it took from when a change was due until its reader had it.
fn report(due: &[Instant], seen: &[Option<Instant>]) {
    let mut took: Vec<_> = due
        .iter()
        .zip(seen)
        .filter_map(|(due, seen)| Some(seen.as_ref()?.saturating_duration_since(*due)))
        .collect();
    took.sort();
    for (name, part) in [("p50", 50), ("p99", 99)] {
        let at = took[(took.len() - 1) * part / 100];
        println!(
            "change to reader, {name}  {:>8.1} ms",
            at.as_secs_f64() * 1_000.0
        );
    }
}

/// Confirmed orders of one piece.
fn placed(marketplace: &Embedded, shop: &Shop, by: &Customer, orders: usize) -> Vec<String> {
    let goods = shop.catalogue();
    let most = goods
        .iter()
        .max_by_key(|product| product["available"].as_i64());
    let product = most.expect("goods")["id"].as_str().expect("an id");
    let placed = Mutex::new(Vec::new());
    let gateway = marketplace.endpoint("gateway");
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (placed, gateway) = (&placed, &gateway);
            scope.spawn(move || {
                let shop = Shop::new(gateway);
                for _ in (caller..orders).step_by(CALLERS) {
                    let id = shop.order(by, product, 1).expect(201).id();
                    placed.lock().push(id);
                }
            });
        }
    });
    let placed = placed.into_inner();
    for id in &placed {
        let _ = shop.settled(by, id);
    }
    placed
}

/// Cancels orders at an even rate; when each was due.
fn cancel(shop: &Shop, by: &Customer, orders: &[String]) -> Vec<Instant> {
    let start = Instant::now();
    let gap = Duration::from_secs(1) / CHANGES_PER_SECOND;
    let due = |n: usize| start + gap * u32::try_from(n).expect("few");
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let shop = Shop::new(&shop.base);
            scope.spawn(move || {
                for n in (caller..orders.len()).step_by(CALLERS) {
                    std::thread::sleep(due(n).saturating_duration_since(Instant::now()));
                    let path = format!("/api/orders/{}/cancel", orders[n]);
                    let _ = shop
                        .post(&path, Some(&by.token), &serde_json::json!({}))
                        .expect(200);
                }
            });
        }
    });
    let late = due(orders.len()).elapsed();
    assert!(
        late < LATE_MAX,
        "{CHANGES_PER_SECOND} changes a second are not held"
    );
    (0..orders.len()).map(due).collect()
}

/// Reads a stream to its end and notes when its last event came.
async fn read(
    from: IpAddr,
    to: SocketAddr,
    token: &str,
    order_id: &str,
    n: usize,
    seen: &Seen,
    opened: &Semaphore,
) {
    let mut connection = Http1::open(from, to).await.expect("a connection");
    let path = format!("/api/orders/{order_id}/events");
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let answer = connection.follow(&path, &headers).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 200);
    let mut body = answer.into_body();
    let mut heard: Vec<u8> = Vec::new();
    let mut is_open = false;
    while let Some(frame) = body.frame().await {
        let frame = frame.expect("the stream does not break");
        if let Some(data) = frame.data_ref() {
            heard.extend_from_slice(data);
        }
        // A frame can end within a word.
        let has = |word: &str| heard.windows(word.len()).any(|it| it == word.as_bytes());
        if !is_open && has("event: confirmed") {
            is_open = true;
            opened.add_permits(1);
        }
        if has("event: cancelled") {
            seen.lock()[n].get_or_insert_with(Instant::now);
        }
        heard.drain(..heard.len().saturating_sub(KEPT_BYTES));
    }
}

/// Seconds of CPU in a time.
#[derive(Default)]
struct Used {
    cpu: f64,
    time: Duration,
}

impl Used {
    fn percent(&self) -> f64 {
        100.0 * self.cpu / self.time.as_secs_f64()
    }
}

impl AddAssign for Used {
    fn add_assign(&mut self, more: Self) {
        self.cpu += more.cpu;
        self.time += more.time;
    }
}

fn cpu_of<R>(marketplace: &Embedded, work: impl FnOnce() -> R) -> Used {
    let (since, before) = (Instant::now(), cpu::seconds(marketplace.pid()));
    work();
    Used {
        cpu: cpu::seconds(marketplace.pid()) - before,
        time: since.elapsed(),
    }
}
