//! What one order may cost until its mail is sent, as counts that do not jump with the machine: docs/performance.md has
//! the budget, and this holds the shop to it.
//!
//! Statements, commits and WAL records are PostgreSQL's own counts by `pg_stat_statements`; where that extension is not
//! installed only the other lines are held.

use std::path::Path;
use std::time::{Duration, Instant};

use scenarios::embedded::Embedded;
use scenarios::load::{mails_in, place};
use scenarios::{Customer, Marketplace, wait};

use crate::database;
use crate::excerpts::read;

/// Orders that warm connections, statements and caches.
const WARM: usize = 100;
/// Orders of a shop where each comes alone: it is placed when the mail of the one before has gone out.
const QUIET: usize = 200;
/// Orders of a shop where [`CALLERS`] order without a pause.
const BUSY: usize = 2_000;
const CALLERS: usize = 32;

const STOCK: &str = "UPDATE products SET available = 1000000";
const PRELOAD: &str = "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'";
const EXTENSION: &str = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements";
const IS_THERE: &str =
    "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_stat_statements'";
/// Of all databases but the one that is asked.
const STATEMENTS: &str = "SELECT sum(calls)::bigint, (sum(calls) FILTER (WHERE query = 'COMMIT'))::bigint, \
     sum(wal_records)::bigint FROM pg_stat_statements \
     WHERE dbid <> (SELECT oid FROM pg_database WHERE datname = current_database())";
const WAL: &str = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint";

/// The lines of the budget, as docs/performance.md names them.
const LINES: [&str; 6] = [
    "statements",
    "commits of several statements",
    "WAL records of statements",
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

    drive(WARM, CALLERS);
    let start = count();
    for _ in 0..QUIET {
        drive(1, 1);
    }
    let quiet = count();
    drive(BUSY, CALLERS);
    let busy = count();

    let quiet_costs = each(&start, &quiet, QUIET);
    let busy_costs = each(&quiet, &busy, BUSY);
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
    let wal = database::number(&server, WAL);
    let [statements, commits, records] = if counted {
        database::numbers(&server, STATEMENTS).map(Some)
    } else {
        [None; 3]
    };
    [
        statements,
        commits,
        records,
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
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/performance.md");
    let document = read(&document);
    let mut over = Vec::new();
    for (n, line) in LINES.into_iter().enumerate() {
        let row = document
            .lines()
            .find(|row| row.starts_with(&format!("| {line} |")));
        let row = row.unwrap_or_else(|| panic!("docs/performance.md has no budget for {line}"));
        let mut cells = row
            .split('|')
            .skip(2)
            .map(|cell| cell.trim().replace(',', ""));
        for (shop, cost) in [("quiet", quiet[n]), ("busy", busy[n])] {
            let cell = cells.next().unwrap_or_default();
            let budget: f64 = cell
                .parse()
                .unwrap_or_else(|_| panic!("{line}: {cell:?} is no budget"));
            let Some(cost) = cost else { continue };
            eprintln!("{line}, {shop} shop: {cost:.2} of {budget}");
            if cost > budget {
                over.push(format!(
                    "{line}, {shop} shop: {cost:.2}, and the budget is {budget}"
                ));
            }
        }
    }
    assert!(
        over.is_empty(),
        "an order costs more than docs/performance.md allows: {over:#?}"
    );
}
