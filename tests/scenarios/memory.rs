//! What is kept for an order is kept in the databases: the process does not grow with the orders that it has taken.

use std::time::{Duration, Instant};

use scenarios::embedded::Embedded;
use scenarios::load::place;
use scenarios::{Marketplace, wait};

use crate::database;

/// Goods for everybody.
const STOCK: &str = "UPDATE products SET available = 1000000";
/// Orders before the first look: everything has been used and every buffer filled.
const FEW: usize = 20_000;
/// Orders before the second.
const MANY: usize = 100_000;
/// Orders for one sign-in: a token lives for minutes.
const CHUNK: usize = 5_000;
/// Callers at once.
const CALLERS: usize = 32;
/// What the process may have at either look, in KiB.
const RESIDENT_MAX_KIB: u64 = 150 * 1024;
/// For how long memory must not have fallen any more: the allocator gives back what is free seconds later.
const STILL: Duration = Duration::from_secs(15);
/// How long the mails of all orders may take.
const MAILED: Duration = Duration::from_secs(3_600);

#[expect(clippy::print_stderr, reason = "the figures of docs/performance.md")]
pub(crate) fn does_not_grow_with_orders(marketplace: &mut Embedded) {
    database::execute(&marketplace.database("products"), STOCK);
    let few = after(marketplace, 0, FEW);
    let many = after(marketplace, FEW, MANY);
    let figures = format!("{few} KiB after {FEW} orders, {many} KiB after {MANY}");
    eprintln!("{figures}");
    assert!(few.max(many) <= RESIDENT_MAX_KIB, "{figures}");
    assert!(few.abs_diff(many) <= few / 10, "{figures}");
}

/// Resident memory in KiB once the orders up to the `last` have been placed and mailed.
fn after(marketplace: &Embedded, first: usize, last: usize) -> u64 {
    let shop = marketplace.shop();
    let mut customer = shop.customer();
    let goods = shop.catalogue();
    let product = goods[0]["id"].as_str().expect("an id");
    for _ in (first..last).step_by(CHUNK) {
        customer.token = shop.sign_in(&customer.email, &customer.password);
        place(marketplace, &customer, product, CHUNK, CALLERS);
    }
    let notifications = marketplace.database("notifications");
    wait::until_every(Duration::from_secs(1), MAILED, "all mails", || {
        database::mails_sent(&notifications, None).filter(|sent| *sent >= last)
    });
    least(marketplace)
}

/// The least resident memory, once it falls no more.
fn least(marketplace: &Embedded) -> u64 {
    let (mut least, mut since) = (u64::MAX, Instant::now());
    wait::until_every(
        Duration::from_millis(500),
        wait::PATIENCE * 5,
        "memory to settle",
        || {
            let now = marketplace.resident_kib();
            if now < least {
                (least, since) = (now, Instant::now());
            }
            (since.elapsed() >= STILL).then_some(least)
        },
    )
}
