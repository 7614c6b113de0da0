//! The service as it runs, with a verb for each thing that tests do to it.

use std::net::SocketAddr;
use std::sync::Arc;

use chassis::{Fatal, Shutdown};
use contracts::testing::FakeUsers;
use embedded::testing::{self, Link, TestDatabase, fresh_database};
use products::{Config, Listeners};
use sqlx::{PgPool, Postgres, Transaction};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::broker::{Broker, PATIENCE};
use crate::door::LOOK_EVERY;

/// A service, its database and its broker.
pub(crate) struct TestApp {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) db: PgPool,
    pub(crate) broker: Arc<Broker>,
    pub(crate) users: Arc<FakeUsers>,
    database: TestDatabase,
    shutdown: Shutdown,
    pub(crate) running: JoinHandle<Result<(), Fatal>>,
    process: Process,
}

/// The runtime that stands in for a process. To abort the task of `run` would not do: what drains then
/// goes on, while a process that is killed stops everywhere.
struct Process(Option<Runtime>);

impl Process {
    fn end(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

impl TestApp {
    /// A shop of its own that handles one order after the other.
    pub(crate) async fn start() -> Self {
        Self::with_partitions(1).await
    }

    /// A shop of its own that handles as many orders at a time.
    pub(crate) async fn with_partitions(partitions: i32) -> Self {
        let broker = Arc::new(Broker::start(partitions).await);
        let users = Arc::new(FakeUsers::start().await);
        Self::on(fresh_database(), broker, users).await
    }

    /// A shop of its own whose wire to the database can be cut.
    pub(crate) async fn with_link() -> (Self, Link) {
        let mut database = fresh_database();
        let (link, url) = Link::to_database(&database.url).await;
        let direct = std::mem::replace(&mut database.url, url);
        let mut app = Self::on(
            database,
            Arc::new(Broker::start(1).await),
            Arc::new(FakeUsers::start().await),
        )
        .await;
        // What the test itself looks at is not behind the link.
        app.db = PgPool::connect(&direct).await.unwrap();
        (app, link)
    }

    /// The executable in a process of its own.
    pub(crate) async fn as_process(
        url: &str,
        broker: &Broker,
        users: &FakeUsers,
    ) -> testing::Process {
        let arguments = arguments(url, broker, users);
        let process = testing::Process::start(env!("CARGO_BIN_EXE_products"), &arguments);
        process.until_ready().await;
        process
    }

    /// Another replica on the same database and the same broker, in a process of its own.
    pub(crate) async fn replica(&self) -> testing::Process {
        Self::as_process(&self.database.url, &self.broker, &self.users).await
    }

    async fn on(database: TestDatabase, broker: Arc<Broker>, users: Arc<FakeUsers>) -> Self {
        let arguments = arguments(&database.url, &broker, &users);
        let line = ["products"]
            .into_iter()
            .chain(arguments.iter().map(String::as_str));
        let config: Config = chassis::config::try_from_args(line).unwrap();
        let runtime = Runtime::new().unwrap();
        let bind = runtime.spawn(async move { (Listeners::bind(&config).await, config) });
        let (listeners, config) = bind.await.unwrap();
        let listeners = listeners.unwrap();
        let address = |listener: &tokio::net::TcpListener| listener.local_addr().unwrap();
        let (http, grpc, admin) = (
            address(&listeners.http),
            address(&listeners.grpc),
            address(&listeners.admin),
        );
        let shutdown = Shutdown::manual();
        let running = runtime.spawn(products::run(config, listeners, shutdown.clone()));
        let runtime = Process(Some(runtime));
        let db = PgPool::connect(&database.url).await.unwrap();
        let mut app = Self {
            http,
            grpc,
            admin,
            db,
            broker,
            users,
            database,
            shutdown,
            running,
            process: runtime,
        };
        app.until_ready().await;
        app
    }

    /// Ends it without a word: no task of it takes another step.
    pub(crate) async fn crash(&mut self) {
        assert!(!self.running.is_finished(), "it had ended before");
        self.process.end();
        let ended = (&mut self.running).await;
        assert!(ended.is_err_and(|error| error.is_cancelled()));
    }

    /// Waits until the database has noticed that the service is gone.
    pub(crate) async fn until_disconnected(&self) {
        let gone = async {
            let connections = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'products'";
            while sqlx::query_scalar::<_, i64>(connections)
                .fetch_one(&self.db)
                .await
                .unwrap()
                > 0
            {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(PATIENCE, gone)
            .await
            .expect("a connection stays");
    }

    /// Starts another service on what a crashed one left behind.
    pub(crate) async fn restart(self) -> Self {
        Self::on(self.database, self.broker, self.users).await
    }

    /// Both at once.
    pub(crate) async fn crash_and_restart(mut self) -> Self {
        self.crash().await;
        self.restart().await
    }

    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(mut self) -> (PgPool, Arc<Broker>) {
        self.shutdown.trigger();
        (&mut self.running).await.unwrap().unwrap();
        (self.db, self.broker)
    }

    /// What can still be bought of a product.
    pub(crate) async fn available(&self, product_id: Uuid) -> i64 {
        available(&self.db, product_id).await
    }

    /// How many events were published about an order.
    pub(crate) async fn version(&self, order_id: Uuid) -> i64 {
        sqlx::query_scalar("SELECT version FROM reservations WHERE order_id = $1")
            .bind(order_id)
            .fetch_one(&self.db)
            .await
            .unwrap()
    }

    /// Holds locks in the database, and with them whoever needs the same, until it is dropped.
    pub(crate) async fn hold(&self, statement: &'static str) -> Transaction<'static, Postgres> {
        let mut tx = self.db.begin().await.unwrap();
        sqlx::raw_sql(statement).execute(&mut *tx).await.unwrap();
        tx
    }

    /// Waits until the service is held in a statement that contains this.
    pub(crate) async fn until_held_in(&self, statement: &str) {
        let held = async {
            loop {
                let count: i64 = sqlx::query_scalar(
                    "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock'
                       AND position($1 IN query) > 0",
                )
                .bind(statement)
                .fetch_one(&self.db)
                .await
                .unwrap();
                if count > 0 {
                    return;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(PATIENCE, held)
            .await
            .expect("nobody waits");
    }

    /// How many pieces of all products are reserved for orders, and how many are for sale.
    pub(crate) async fn books(&self) -> (i64, i64) {
        sqlx::query_as(
            "SELECT (SELECT coalesce(sum(quantity), 0)::bigint FROM reservation_lines
                       JOIN reservations USING (order_id) WHERE status = 'reserved'),
                    (SELECT sum(available)::bigint FROM catalogue)",
        )
        .fetch_one(&self.db)
        .await
        .unwrap()
    }

    /// How many circles of waiting transactions PostgreSQL has found. A connection reports what it met when it is closed,
    /// so this ends the service; other replicas must have ended before.
    pub(crate) async fn deadlocks(&mut self) -> i64 {
        self.crash().await;
        self.until_disconnected().await;
        sqlx::query_scalar(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
        )
        .fetch_one(&self.db)
        .await
        .unwrap()
    }

    /// Puts this many pieces on the shelf; what lanes hold is not changed.
    pub(crate) async fn stock(&self, product_id: Uuid, pieces: i64) {
        sqlx::query("UPDATE products SET available = $2 WHERE id = $1")
            .bind(product_id)
            .bind(pieces)
            .execute(&self.db)
            .await
            .unwrap();
    }
}

/// What the service is told.
fn arguments(url: &str, broker: &Broker, users: &FakeUsers) -> Vec<String> {
    let arguments = [
        ("--database-url", url),
        ("--kafka-brokers", &broker.address()),
        ("--kafka-fetch-wait", "10ms"),
        ("--users-url", &format!("http://{}", users.address)),
        ("--http-port", "0"),
        ("--grpc-port", "0"),
        ("--admin-port", "0"),
    ];
    let words = arguments
        .into_iter()
        .flat_map(|(flag, value)| [flag, value]);
    words.map(str::to_owned).collect()
}

pub(crate) async fn available(db: &PgPool, product_id: Uuid) -> i64 {
    sqlx::query_scalar("SELECT available FROM catalogue WHERE id = $1")
        .bind(product_id)
        .fetch_one(db)
        .await
        .unwrap()
}
