//! How long transactions of products wait for each other's rows, for each order: goods that everybody wants, with one and
//! with two replicas of products.
//!
//! ```text
//! cargo run --release -p scenarios --example lock_wait [-- SECONDS [CALLERS]]
//! ```
//!
//! It starts a marketplace of its own, and later a second replica of products in this process, in the same consumer group.
//! CALLERS (32) order without a pause for SECONDS (8), each time one or six of the 24 goods, which ones by chance. It counts
//! from the first order until all are decided.
//!
//! PostgreSQL has no counter for the time that is spent waiting for a lock: `pg_stat_statements` has it in one sum with the
//! work of a statement, and `log_lock_waits` tells of waits beyond `deadlock_timeout` only. So a session of the server looks
//! every millisecond which backends of products wait, and counts each of them with the time since its last look. A short
//! wait is seen seldom and counts for more than it was; over thousands of orders that evens out.
//!
//! Rows are measured one after the other on one marketplace, whose tables grow meanwhile. Before and after a change are two
//! runs: compare them only if they take turns on a quiet machine, several times.
#![allow(clippy::print_stdout, reason = "printing figures is what it is for")]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chassis::{Fatal, Shutdown};
use products::Listeners;
use scenarios::embedded::{CHILD, Embedded};
use scenarios::{Customer, Marketplace, Shop, wait};
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

const STOCK: &str = "UPDATE products SET available = 1000000";
const DECIDED: &str = "SELECT count(*) FROM reservations";
/// Lines of an order: the simplest one, and as many as in the test of deadlocks.
const LINES: [usize; 2] = [1, 6];
/// How long connections, statements and caches are warmed.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long what was ordered may take to be decided.
const PATIENCE: Duration = Duration::from_secs(120);
/// Seconds that one call of [`SAMPLE`] looks.
const CHUNK_SECS: f64 = 0.5;

/// Milliseconds that backends of a database waited for rows, and for locks of any kind, within some seconds.
const SAMPLE: &str = "
    CREATE FUNCTION pg_temp.waited(of_database text, seconds float8, OUT looks bigint, OUT row_ms float8, OUT any_ms float8)
    LANGUAGE plpgsql AS $$
    DECLARE
        last timestamptz := clock_timestamp();
        ending timestamptz := last + make_interval(secs => seconds);
        this timestamptz;
        for_rows bigint;
        for_any bigint;
    BEGIN
        looks := 0; row_ms := 0; any_ms := 0;
        WHILE last < ending LOOP
            PERFORM pg_sleep(0.001);
            -- Without it each look of a transaction shows what the first one saw.
            PERFORM pg_stat_clear_snapshot();
            this := clock_timestamp();
            SELECT count(*) FILTER (WHERE wait_event IN ('transactionid', 'tuple')), count(*) INTO for_rows, for_any
              FROM pg_stat_activity WHERE datname = of_database AND wait_event_type = 'Lock';
            looks := looks + 1;
            row_ms := row_ms + for_rows * extract(epoch FROM this - last) * 1000;
            any_ms := any_ms + for_any * extract(epoch FROM this - last) * 1000;
            last := this;
        END LOOP;
    END $$";

fn main() -> ExitCode {
    if std::env::var_os(CHILD).is_some() {
        return agora::main();
    }
    let mut numbers = std::env::args().skip(1).map(|n| n.parse::<u64>());
    let mut number = |default| numbers.next().and_then(Result::ok).unwrap_or(default);
    let time = Duration::from_secs(number(8).clamp(1, 120));
    let callers = number(32).clamp(1, 256);

    let marketplace = Embedded::start(&[]);
    let runtime = Runtime::new().expect("a runtime");
    let mut load = Load {
        goods: Vec::new(),
        by: marketplace.shop().customer(),
        callers,
        decided: runtime.block_on(connect(&marketplace.database("products"))),
        marketplace,
        runtime,
    };
    load.stock_up();
    println!(
        "| replicas of products | lines of an order | orders | orders/s | waiting for rows, ms an order | for any lock, ms an order | looks |"
    );
    println!("|---|---|---|---|---|---|---|");
    load.warm_up();
    load.measure_all(1, time);
    let second = Replica::start(&load.marketplace, &load.runtime);
    wait::until_within(PATIENCE, "the second replica to decide", || {
        load.warm_up();
        (second.answers() > 0).then_some(())
    });
    let before = second.answers();
    let orders = load.measure_all(2, time);
    println!(
        "\nThe second replica decided {} of the {orders} orders.",
        second.answers() - before
    );
    second.stop(&load.runtime);
    ExitCode::SUCCESS
}

/// Callers that order, and what it costs products.
struct Load {
    marketplace: Embedded,
    runtime: Runtime,
    by: Customer,
    goods: Vec<String>,
    callers: u64,
    decided: PgConnection,
}

impl Load {
    /// Enough of everything for everybody.
    fn stock_up(&mut self) {
        let stocked = self.decided.execute(STOCK);
        self.runtime.block_on(stocked).expect("goods for everybody");
        let catalogue = self.marketplace.shop().catalogue();
        let ids = catalogue.iter().map(|product| product["id"].as_str());
        self.goods = ids.map(|id| id.expect("an id").to_owned()).collect();
    }

    fn warm_up(&mut self) {
        let before = self.decided();
        let orders = self.order(WARM_UP, LINES[1]);
        self.until_decided(before + orders);
    }

    /// Measures each number of lines, prints a row for it, and returns how many orders there were.
    fn measure_all(&mut self, replicas: usize, time: Duration) -> u64 {
        let measured = LINES.map(|lines| self.measure(replicas, lines, time));
        measured.iter().sum()
    }

    fn measure(&mut self, replicas: usize, lines: usize, time: Duration) -> u64 {
        let before = self.decided();
        let sampler = Sampler::start(&self.marketplace, &self.runtime);
        let begun = Instant::now();
        let orders = self.order(time, lines);
        let took = begun.elapsed();
        self.until_decided(before + orders);
        let waited = sampler.stop(&self.runtime);
        println!(
            "| {replicas} | {lines} of {} | {orders} | {:.0} | {:.3} | {:.3} | {} |",
            self.goods.len(),
            orders as f64 / took.as_secs_f64(),
            waited.row_ms / orders as f64,
            waited.any_ms / orders as f64,
            waited.looks,
        );
        orders
    }

    /// Orders for a while without a pause, and returns how many were accepted.
    fn order(&self, time: Duration, lines: usize) -> u64 {
        let (end, orders) = (Instant::now() + time, AtomicU64::new(0));
        let gateway = self.marketplace.endpoint("gateway");
        let (by, goods) = (&self.by, &self.goods);
        std::thread::scope(|scope| {
            for _ in 0..self.callers {
                scope.spawn(|| {
                    let shop = Shop::new(&gateway);
                    while Instant::now() < end {
                        let body = some_of(goods, lines);
                        let _ = shop.post("/api/orders", Some(&by.token), &body).expect(201);
                        orders.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        orders.into_inner()
    }

    /// Orders that products has decided about.
    fn decided(&mut self) -> u64 {
        let count = sqlx::query_scalar(DECIDED).fetch_one(&mut self.decided);
        let count: i64 = self.runtime.block_on(count).expect("a number");
        count.unsigned_abs()
    }

    fn until_decided(&mut self, orders: u64) {
        wait::until_within(PATIENCE, "all orders to be decided", || {
            (self.decided() >= orders).then_some(())
        });
    }
}

/// The body of an order of one piece of each of some goods.
fn some_of(goods: &[String], lines: usize) -> Value {
    let chosen = rand::seq::index::sample(&mut rand::rng(), goods.len(), lines);
    let items = chosen
        .iter()
        .map(|n| json!({"product_id": goods[n], "quantity": 1}));
    json!({"items": items.collect::<Vec<_>>()})
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("a database")
}

/// What a sampler saw.
#[derive(Default)]
struct Waited {
    looks: i64,
    row_ms: f64,
    any_ms: f64,
}

/// Looks for waiting backends of products until it is stopped.
struct Sampler {
    stop: Arc<AtomicBool>,
    sampled: JoinHandle<Waited>,
}

impl Sampler {
    fn start(marketplace: &Embedded, runtime: &Runtime) -> Self {
        let server = marketplace.server();
        let products = marketplace.database("products");
        let database = products.rsplit('/').next().unwrap_or_default().to_owned();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let sampled = runtime.spawn(async move {
            let mut session = connect(&server).await;
            session.execute(SAMPLE).await.expect("a function");
            let mut waited = Waited::default();
            while !stopped.load(Ordering::Relaxed) {
                let sample = sqlx::query_as("SELECT * FROM pg_temp.waited($1, $2)")
                    .bind(&database)
                    .bind(CHUNK_SECS);
                let (looks, row_ms, any_ms): (i64, f64, f64) =
                    sample.fetch_one(&mut session).await.expect("a sample");
                waited.looks += looks;
                waited.row_ms += row_ms;
                waited.any_ms += any_ms;
            }
            waited
        });
        Self { stop, sampled }
    }

    fn stop(self, runtime: &Runtime) -> Waited {
        self.stop.store(true, Ordering::Relaxed);
        runtime.block_on(self.sampled).expect("the sampler's end")
    }
}

/// Another replica of products, in this process.
struct Replica {
    admin: SocketAddr,
    shutdown: Shutdown,
    running: JoinHandle<Result<(), Fatal>>,
}

impl Replica {
    /// With what `agora up` tells its own.
    fn start(marketplace: &Embedded, runtime: &Runtime) -> Self {
        let database = marketplace.database("products");
        let queue = marketplace.database("queue");
        let (kafka, users) = (marketplace.endpoint("kafka"), marketplace.endpoint("users"));
        let settings = [
            ("database-url", database.as_str()),
            ("kafka-brokers", &kafka),
            ("kafka-fetch-wait", "10ms"),
            ("dead-letters-database-url", &queue),
            ("outbox-replay-window", "10m"),
            ("users-url", &users),
            ("http-port", "0"),
            ("grpc-port", "0"),
            ("admin-port", "0"),
        ];
        let flags = settings.map(|(name, value)| format!("--{name}={value}"));
        let line = ["products".to_owned()].into_iter().chain(flags);
        let config: products::Config = chassis::config::try_from_args(line).expect("settings");
        let listeners = runtime.block_on(Listeners::bind(&config)).expect("ports");
        let admin = listeners.admin.local_addr().expect("an address");
        let shutdown = Shutdown::manual();
        let running = runtime.spawn(products::run(config, listeners, shutdown.clone()));
        Self {
            admin,
            shutdown,
            running,
        }
    }

    /// Orders that it has answered.
    fn answers(&self) -> u64 {
        let port = Shop::new(&format!("http://{}", self.admin));
        let metrics = port.get("/metrics", None).expect(200).text;
        let series = metrics
            .lines()
            .filter(|line| line.starts_with("products_answers_total"));
        let values = series.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        values.sum()
    }

    fn stop(self, runtime: &Runtime) {
        self.shutdown.trigger();
        let ended = runtime.block_on(self.running).expect("no panic");
        ended.expect("the replica stops");
    }
}
