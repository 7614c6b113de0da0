//! The service as it runs, with a verb for each thing that tests do to it.

use std::net::SocketAddr;
use std::sync::Arc;

use chassis::{Fatal, Shutdown};
use embedded::testing::{TestDatabase, fresh_database};
use products::{Config, Listeners};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::broker::Broker;
use crate::users::FakeUsers;

/// A service, its database and its broker.
pub(crate) struct TestApp {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) db: PgPool,
    pub(crate) broker: Arc<Broker>,
    pub(crate) users: Arc<FakeUsers>,
    database: Arc<TestDatabase>,
    shutdown: Shutdown,
    pub(crate) running: JoinHandle<Result<(), Fatal>>,
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
        Self::on(Arc::new(fresh_database()), broker, users).await
    }

    async fn on(database: Arc<TestDatabase>, broker: Arc<Broker>, users: Arc<FakeUsers>) -> Self {
        let users_url = format!("http://{}", users.address);
        let kafka = broker.address();
        let arguments = [
            ("--database-url", database.url.as_str()),
            ("--kafka-brokers", kafka.as_str()),
            ("--kafka-fetch-wait", "10ms"),
            ("--users-url", users_url.as_str()),
            ("--http-port", "0"),
            ("--grpc-port", "0"),
            ("--admin-port", "0"),
        ];
        let arguments = arguments.into_iter().flat_map(|(flag, value)| [flag, value]);
        let config: Config = chassis::config::try_from_args(["products"].into_iter().chain(arguments)).unwrap();
        let listeners = Listeners::bind(&config).await.unwrap();
        let address = |listener: &tokio::net::TcpListener| listener.local_addr().unwrap();
        let (http, grpc, admin) =
            (address(&listeners.http), address(&listeners.grpc), address(&listeners.admin));
        let shutdown = Shutdown::manual();
        let running = tokio::spawn(products::run(config, listeners, shutdown.clone()));
        let db = PgPool::connect(&database.url).await.unwrap();
        let mut app = Self { http, grpc, admin, db, broker, users, database, shutdown, running };
        app.until_ready().await;
        app
    }

    /// Ends it without a word, and starts another on what it left behind.
    pub(crate) async fn crash_and_restart(self) -> Self {
        self.running.abort();
        let Err(ended) = self.running.await else { panic!("it had ended before") };
        assert!(ended.is_cancelled(), "{ended}");
        Self::on(self.database, self.broker, self.users).await
    }

    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(self) -> (PgPool, Arc<Broker>) {
        self.shutdown.trigger();
        self.running.await.unwrap().unwrap();
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

    /// Puts this many pieces on the shelf.
    pub(crate) async fn stock(&self, product_id: Uuid, pieces: i64) {
        sqlx::query("UPDATE products SET available = $2 WHERE id = $1")
            .bind(product_id)
            .bind(pieces)
            .execute(&self.db)
            .await
            .unwrap();
    }
}

pub(crate) async fn available(db: &PgPool, product_id: Uuid) -> i64 {
    sqlx::query_scalar("SELECT available FROM products WHERE id = $1")
        .bind(product_id)
        .fetch_one(db)
        .await
        .unwrap()
}
