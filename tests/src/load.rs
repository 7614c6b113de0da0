//! Many orders at once, and what they leave behind.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::marketplace::Marketplace;
use crate::shop::{Customer, Shop, one_line};

/// Who share the orders of a rate. A few: each waits for its answers.
const CALLERS_OF_RATE: u32 = 32;

/// Places so many orders of one piece, as fast as so many callers can who each wait for their answer: a closed loop.
///
/// # Panics
/// When one is not accepted.
pub fn place(
    marketplace: &dyn Marketplace,
    by: &Customer,
    product: &str,
    orders: usize,
    callers: usize,
) {
    let gateway = marketplace.endpoint("gateway");
    let taken = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..callers {
            scope.spawn(|| {
                let shop = Shop::new(&gateway);
                while taken.fetch_add(1, Ordering::Relaxed) < orders {
                    let _ = shop.order(by, product, 1).expect(201);
                }
            });
        }
    });
}

/// Orders of one piece at a rate.
#[derive(Debug, Clone, Copy)]
pub struct Traffic<'a> {
    /// Who orders, in turn. Several: the gateway works on a few dozen requests of one customer at a time.
    pub buyers: &'a [Customer],
    /// What is ordered, in turn.
    pub products: &'a [String],
    /// Orders a second.
    pub rate: u32,
    /// All of them.
    pub orders: u32,
}

/// What came of them.
#[derive(Debug, Default)]
pub struct Sent {
    /// The time of each accepted order from when it was due until its answer, the shortest first.
    pub accepted: Vec<Duration>,
    /// How many were not accepted, by their status or error.
    pub refused: BTreeMap<String, usize>,
}

/// Sends each order when it is due, whether or not those before are answered: an open loop, unless all callers wait.
#[must_use]
pub fn place_at_rate(marketplace: &dyn Marketplace, traffic: Traffic<'_>) -> Sent {
    let gateway = marketplace.endpoint("gateway");
    let (sent, start) = (Mutex::new(Sent::default()), Instant::now());
    std::thread::scope(|scope| {
        for caller in 0..CALLERS_OF_RATE {
            let (gateway, sent) = (&gateway, &sent);
            scope.spawn(move || {
                let shop = Shop::new(gateway);
                for n in (caller..traffic.orders).step_by(CALLERS_OF_RATE as usize) {
                    let due = start + Duration::from_secs(1) * n / traffic.rate;
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    let outcome = traffic.order(&shop, n as usize);
                    sent.lock().note(outcome, due.elapsed());
                }
            });
        }
    });
    let mut sent = sent.into_inner();
    sent.accepted.sort_unstable();
    sent
}

impl Traffic<'_> {
    fn order(&self, shop: &Shop, n: usize) -> Result<(), String> {
        let product = &self.products[n % self.products.len()];
        // Another step than that of the goods, so that everybody buys everything.
        let buyer = &self.buyers[n / self.products.len() % self.buyers.len()];
        let body = one_line(product, 1);
        let answer = shop.try_post("/api/orders", Some(&buyer.token), &[], &body);
        match answer.map_err(|error| error.to_string())?.status {
            201 => Ok(()),
            status => Err(status.to_string()),
        }
    }
}

impl Sent {
    fn note(&mut self, outcome: Result<(), String>, took: Duration) {
        match outcome {
            Ok(()) => self.accepted.push(took),
            Err(why) => *self.refused.entry(why).or_default() += 1,
        }
    }
}

/// How many mails lie in a directory, without reading them.
///
/// # Panics
/// When it cannot be read although it exists.
#[must_use]
pub fn mails_in(directory: &Path) -> usize {
    if !directory.exists() {
        return 0;
    }
    let files = std::fs::read_dir(directory).expect("the mail directory");
    let names = files.map(|file| file.expect("a directory entry").file_name());
    names
        .filter(|name| name.to_string_lossy().ends_with(".eml"))
        .count()
}
