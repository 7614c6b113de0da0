//! The service as it runs, with a verb for each thing that tests do to it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use chassis::telemetry::{self, Telemetry};
use chassis::{Fatal, Shutdown};
use contracts::testing::documented::{Answered, Documented};
use contracts::testing::{FakeUsers, Someone};
use embedded::testing::{Process, TestDatabase, fresh_database};
use http_body_util::Full;
use orders::{Config, Listeners};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::broker::Broker;
use crate::catalog::FakeCatalog;
use crate::http::{Answer, HttpClient};
use crate::stream::Events;

/// Longest wait for anything, in a test that is about to fail.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at that nobody tells of.
const LOOK: Duration = Duration::from_millis(20);

/// What the service says of itself.
static DOCUMENTED: LazyLock<Documented> = LazyLock::new(|| {
    let documents = [orders::document(), orders::document_v2()];
    Documented::new(documents.map(Result::unwrap).into())
});

/// Everything around the service: its database, and its neighbours.
pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) db: PgPool,
    pub(crate) broker: Broker,
    pub(crate) catalog: FakeCatalog,
    users: FakeUsers,
}

impl World {
    /// With decisions about stock in one order.
    pub(crate) async fn new() -> Self {
        Self::with_stock_partitions(1).await
    }

    /// With decisions about stock that come from so many partitions at once.
    pub(crate) async fn with_stock_partitions(partitions: i32) -> Self {
        telemetry();
        let database = fresh_database();
        let db = PgPool::connect(&database.url).await.unwrap();
        let (catalog, users) = (FakeCatalog::start().await, FakeUsers::start().await);
        Self {
            database,
            db,
            broker: Broker::start(partitions),
            catalog,
            users,
        }
    }

    /// A replica of the service in this world, with settings of its own; a later one wins.
    pub(crate) async fn serve(&self, settings: &[(&str, &str)]) -> Service {
        let service = self.serve_unready(settings).await;
        service.until_ready().await;
        service
    }

    /// The same, but it may be that it is never ready.
    pub(crate) async fn serve_unready(&self, settings: &[(&str, &str)]) -> Service {
        let config: Config = chassis::config::try_from_args(self.arguments(settings)).unwrap();
        Service::start(config).await
    }

    /// The service as a process of its own, and what it logs.
    pub(crate) async fn serve_as_process(&self, settings: &[(&str, &str)]) -> (Service, Process) {
        let (service, process) = Service::spawn(&self.arguments(settings)).await;
        service.until_ready().await;
        (service, process)
    }

    /// The command line of a replica in this world.
    fn arguments(&self, settings: &[(&str, &str)]) -> Vec<String> {
        let (kafka, users) = (
            self.broker.address(),
            format!("http://{}", self.users.address),
        );
        let products = format!("http://{}", self.catalog.address);
        let mut all = vec![
            ("--database-url", self.database.url.as_str()),
            ("--kafka-brokers", kafka.as_str()),
            ("--kafka-fetch-wait", "10ms"),
            ("--users-url", users.as_str()),
            ("--products-grpc-url", products.as_str()),
            ("--http-port", "0"),
            ("--admin-port", "0"),
        ];
        for (flag, value) in settings {
            all.retain(|(known, _)| known != flag);
            all.push((flag, value));
        }
        let arguments = all.into_iter().flat_map(|(flag, value)| [flag, value]);
        let line = ["orders"].into_iter().chain(arguments);
        line.map(str::to_owned).collect()
    }

    /// Counts rows.
    pub(crate) async fn count(&self, table: &'static str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(&self.db)
            .await
            .unwrap()
    }
}

/// Without it there are no trace ids. Lines go to a file: what tests print is what failed.
fn telemetry() {
    static ONCE: OnceLock<telemetry::Guard> = OnceLock::new();
    ONCE.get_or_init(|| {
        let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/orders.log");
        let writer = telemetry::Writer::File(telemetry::RotatingFile::open(file).unwrap());
        let log_format = chassis::telemetry::LogFormat::Pretty;
        let service = "orders";
        // A panic belongs to its test's output, not to the log.
        let hook = std::panic::take_hook();
        let guard = telemetry::init(Telemetry {
            service,
            log_format,
            otlp_endpoint: None,
            writer,
        })
        .unwrap();
        std::panic::set_hook(hook);
        guard
    });
}

/// One running replica.
pub(crate) struct Service {
    http: SocketAddr,
    admin: SocketAddr,
    client: HttpClient,
    shutdown: Shutdown,
    running: JoinHandle<Result<(), Fatal>>,
}

impl Service {
    async fn start(config: Config) -> Self {
        let listeners = Listeners::bind(&config).await.unwrap();
        let (http, admin) = (
            listeners.http.local_addr().unwrap(),
            listeners.admin.local_addr().unwrap(),
        );
        let shutdown = Shutdown::manual();
        let running = tokio::spawn(orders::run(config, listeners, shutdown.clone()));
        Self {
            http,
            admin,
            client: HttpClient::new(),
            shutdown,
            running,
        }
    }

    /// Starts the executable; it is killed when the process is dropped.
    async fn spawn(arguments: &[String]) -> (Self, Process) {
        let process = Process::start(env!("CARGO_BIN_EXE_orders"), &arguments[1..]);
        let service = Self {
            http: process.address("http").await,
            admin: process.address("admin").await,
            client: HttpClient::new(),
            shutdown: Shutdown::manual(),
            running: tokio::spawn(std::future::pending()),
        };
        (service, process)
    }

    pub(crate) async fn until_ready(&self) {
        eventually("the service is ready", || async {
            assert!(!self.running.is_finished(), "the service has ended");
            (self.readiness().await.status == 200).then_some(())
        })
        .await;
    }

    /// What `/readyz` answers.
    pub(crate) async fn readiness(&self) -> Answer {
        let request = http::Request::get(format!("http://{}/readyz", self.admin))
            .body(Full::default())
            .unwrap();
        self.client.send(request).await
    }

    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(mut self) {
        self.shutdown.trigger();
        (&mut self.running).await.unwrap().unwrap();
    }

    /// Ends it in the middle of whatever it does.
    pub(crate) async fn crash(mut self) {
        self.running.abort();
        let Err(ended) = (&mut self.running).await else {
            panic!("it had ended before")
        };
        assert!(ended.is_cancelled(), "{ended}");
    }

    /// Any request. Whatever it is answered has to be documented.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.http));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self
            .client
            .send(request.body(Full::new(body.into())).unwrap())
            .await;
        let answered = Answered {
            status: answer.status,
            content_type: answer.header("content-type"),
            body: &answer.body,
        };
        DOCUMENTED.hold(method, path, answered);
        answer
    }

    /// Where its door is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// An answer that goes on.
    pub(crate) async fn stream(&self, path: &str, headers: &[(&str, &str)]) -> Events {
        let mut request = http::Request::get(format!("http://{}{path}", self.http));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::default()).unwrap();
        self.client.stream(request).await
    }

    /// A request without a body, on behalf of somebody.
    pub(crate) async fn call(&self, who: &Someone, method: &str, path: &str) -> Answer {
        self.send(method, path, &[("authorization", &bearer(who))], "")
            .await
    }

    pub(crate) async fn get(&self, who: &Someone, path: &str) -> Answer {
        self.call(who, "GET", path).await
    }

    /// `POST /v1/orders` with this body.
    pub(crate) async fn post_order(&self, who: &Someone, body: &Value) -> Answer {
        self.post_raw(who, &[], body.to_string()).await
    }

    /// The same under an `Idempotency-Key`.
    pub(crate) async fn post_with_key(&self, who: &Someone, key: &str, body: &Value) -> Answer {
        self.post_raw(who, &[("idempotency-key", key)], body.to_string())
            .await
    }

    /// `POST /v1/orders` with any body, said to be JSON.
    pub(crate) async fn post_raw(
        &self,
        who: &Someone,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let bearer = bearer(who);
        let mut all = vec![
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        all.extend_from_slice(headers);
        self.send("POST", "/v1/orders", &all, body).await
    }

    /// An order that must be accepted; answers its id.
    pub(crate) async fn place(&self, who: &Someone, product: Uuid, quantity: u32) -> Uuid {
        let answer = self.post_order(who, &wish(&[(product, quantity)])).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        id(&answer.json())
    }

    /// The order as its owner sees it now.
    pub(crate) async fn order(&self, who: &Someone, order_id: Uuid) -> Value {
        self.get(who, &format!("/v1/orders/{order_id}"))
            .await
            .json()
    }

    /// Waits until the order has this status, and answers it.
    pub(crate) async fn until_status(&self, who: &Someone, order_id: Uuid, status: &str) -> Value {
        eventually(&format!("the order is {status}"), || async {
            let order = self.order(who, order_id).await;
            (order["status"] == status).then_some(order)
        })
        .await
    }
}

/// Dropped without a word: as if it had crashed.
impl Drop for Service {
    fn drop(&mut self) {
        self.running.abort();
    }
}

pub(crate) fn bearer(who: &Someone) -> String {
    format!("Bearer {}", who.token)
}

/// The body of an order.
pub(crate) fn wish(lines: &[(Uuid, u32)]) -> Value {
    let items = lines
        .iter()
        .map(|(id, quantity)| json!({"product_id": id, "quantity": quantity}));
    json!({"items": items.collect::<Vec<_>>()})
}

/// The `id` of a JSON object.
pub(crate) fn id(json: &Value) -> Uuid {
    json["id"]
        .as_str()
        .unwrap_or_else(|| panic!("no id: {json}"))
        .parse()
        .unwrap()
}

/// Waits for a condition that nobody tells of.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut probe: impl FnMut() -> F,
) -> T {
    let looking = async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking)
        .await
        .unwrap_or_else(|_| panic!("waited in vain: {what}"))
}
