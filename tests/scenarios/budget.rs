//! What one order may cost until its mail is sent, as counts that do not jump with the machine: docs/performance.md has
//! the budget, and this holds the shop to it.
//!
//! Transactions and WAL are PostgreSQL's own counts, which it always has. Statements, and which of the transactions and WAL
//! records are theirs, are told by `pg_stat_statements` only; where that extension is not installed those lines are not held.

use std::time::{Duration, Instant};

use contracts::testing::budget;
use scenarios::embedded::Embedded;
use scenarios::load::{mails_in, place};
use scenarios::{Customer, Marketplace, wait};

use crate::database;
use crate::trials::asked_for;

/// Orders that warm connections, statements and caches.
const WARM: usize = 100;
/// Orders of a shop where each comes alone: it is placed when the mail of the one before has gone out.
const QUIET: usize = 200;
/// Orders of a shop where [`CALLERS`] order without a pause.
const BUSY: usize = 2_000;
const CALLERS: usize = 32;
/// The part of both that is driven where `AGORA_LONG=1` does not ask for all of them: one in so many. What runs by the clock
/// weighs more on each order then, and the budget holds all the same.
const SHARE: usize = 2;

const STOCK: &str = "UPDATE products SET available = 1000000";
const PRELOAD: &str = "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'";
const EXTENSION: &str = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements";
const IS_THERE: &str =
    "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_stat_statements'";
/// Of all databases but the one that is asked.
const STATEMENTS: &str = "SELECT sum(calls)::bigint, (sum(calls) FILTER (WHERE query = 'COMMIT'))::bigint, \
     sum(wal_records)::bigint FROM pg_stat_statements \
     WHERE dbid <> (SELECT oid FROM pg_database WHERE datname = current_database())";
/// Of all databases but the one that is asked. Those of one statement that nobody began are among them, which show as no
/// `COMMIT` above. Sessions report seconds later; what is late of one shop counts for the next.
const TRANSACTIONS: &str =
    "SELECT sum(xact_commit)::bigint FROM pg_stat_database WHERE datname <> current_database()";
/// Also those of commits and of what PostgreSQL does by itself.
const RECORDS: &str = "SELECT wal_records::bigint FROM pg_stat_wal";
const WAL: &str = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint";

/// The lines of the budget, as docs/performance.md names them.
const LINES: [&str; 8] = [
    "statements",
    "commits of several statements",
    "WAL records of statements",
    "transactions",
    "WAL records",
    "WAL, bytes",
    "calls between services",
    "Kafka produce requests",
];

/// What was counted up to a moment, in the order of [`LINES`]; nothing where nobody counts.
type Counts = [Option<i64>; LINES.len()];

pub(crate) fn orders_keep_to_it(marketplace: &mut Embedded) {
    let counted = database::number(&marketplace.server(), IS_THERE) > 0;
    if counted {
        database::execute(&marketplace.server(), PRELOAD);
        let _ = marketplace.stop();
        marketplace.restart();
        database::execute(&marketplace.server(), EXTENSION);
    }
    database::execute(&marketplace.database("products"), STOCK);
    let shop = marketplace.shop();
    let (customer, goods) = (shop.customer(), shop.catalogue());
    let product = goods[0]["id"].as_str().expect("an id");
    let count = || counts(marketplace, counted);
    let drive = |orders, callers| busy(marketplace, &customer, product, orders, callers);

    let share = if asked_for("AGORA_LONG") { 1 } else { SHARE };
    let (quiet_orders, busy_orders) = (QUIET / share, BUSY / share);

    drive(WARM, CALLERS);
    let start = count();
    for _ in 0..quiet_orders {
        drive(1, 1);
    }
    let quiet = count();
    drive(busy_orders, CALLERS);
    let busy = count();

    let quiet_costs = each(&start, &quiet, quiet_orders);
    let busy_costs = each(&quiet, &busy, busy_orders);
    hold(&quiet_costs, &busy_costs);
}

/// Places orders and waits for their mails.
fn busy(shop: &Embedded, by: &Customer, product: &str, orders: usize, callers: usize) {
    let before = mails_in(shop.mail());
    place(shop, by, product, orders, callers);
    wait::until("the mails", || {
        (mails_in(shop.mail()) >= before + orders).then_some(())
    });
}

fn counts(marketplace: &Embedded, counted: bool) -> Counts {
    let (calls, produced) = settled(marketplace);
    let server = marketplace.server();
    let [transactions, all_records, wal] =
        [TRANSACTIONS, RECORDS, WAL].map(|statement| database::number(&server, statement));
    let [statements, commits, records] = if counted {
        database::numbers(&server, STATEMENTS).map(Some)
    } else {
        [None; 3]
    };
    [
        statements,
        commits,
        records,
        Some(transactions),
        Some(all_records),
        Some(wal),
        Some(calls),
        Some(produced),
    ]
}

/// Calls between services and requests that carry messages to Kafka. The process tells of them seconds later: they are
/// read once whatever they say is younger than the last mail. They rest by then, since all is done that an order asks for.
fn settled(marketplace: &Embedded) -> (i64, i64) {
    let since = Instant::now();
    wait::until("metrics younger than the last mail", || {
        (since.elapsed() >= AGE_MAX).then_some(())
    });
    let metrics = marketplace.metrics();
    let calls = sum(&metrics, "resilience_attempts_total", "");
    let produced = "request=\"Produce\"";
    let produced = sum(&metrics, "messaging_kafka_requests_total", produced);
    (calls, produced)
}

/// Longer than librdkafka's statistics are old, which it makes every 5 s; the clients' metrics are younger.
const AGE_MAX: Duration = Duration::from_millis(5_500);

/// The sum of a counter over all of its series with this label.
fn sum(metrics: &str, name: &str, label: &str) -> i64 {
    let series = metrics
        .lines()
        .filter(|line| line.starts_with(name) && line.contains(label));
    let values = series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum::<f64>() as i64
}

fn each(before: &Counts, after: &Counts, orders: usize) -> [Option<f64>; LINES.len()] {
    std::array::from_fn(|n| Some((after[n]? - before[n]?) as f64 / orders as f64))
}

/// Compares with the budget of the document.
#[expect(clippy::print_stderr, reason = "the figures of docs/performance.md")]
fn hold(quiet: &[Option<f64>], busy: &[Option<f64>]) {
    let mut wrong = Vec::new();
    for (n, line) in LINES.into_iter().enumerate() {
        let budgets = budget::of(line);
        for (column, (shop, cost)) in [("quiet", quiet[n]), ("busy", busy[n])]
            .into_iter()
            .enumerate()
        {
            let Some(cost) = cost else {
                eprintln!("{line}, {shop} shop: not held without pg_stat_statements");
                continue;
            };
            let figures = format!("{line}, {shop} shop: {cost:.2} of {}", budgets[column]);
            eprintln!("{figures}");
            wrong.extend(complaint(cost, budgets[column]).map(|why| format!("{figures}: {why}")));
        }
    }
    assert!(
        wrong.is_empty(),
        "an order does not cost what docs/performance.md allows: {wrong:#?}"
    );
}

/// Why a cost is not within its budget. Nothing at all is what a counter has that goes by another name now.
fn complaint(cost: f64, budget: f64) -> Option<&'static str> {
    match cost {
        cost if cost <= 0.0 => Some("nothing was counted"),
        cost if cost > budget => Some("too much"),
        _ => None,
    }
}
