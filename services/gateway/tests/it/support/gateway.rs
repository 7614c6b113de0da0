//! The gateway under test.

use std::net::SocketAddr;
use std::sync::OnceLock;

use chassis::config::try_from_args;
use chassis::telemetry::{Guard, LogFormat, Telemetry, Writer, init};
use chassis::{Fatal, Shutdown};
use gateway::{Config, Listeners};
use http::Method;
use tokio::task::JoinHandle;

use super::{Call, FakeShop, FakeUsers};

/// One for the process, as in a real one; without it there are no trace ids.
static TELEMETRY: OnceLock<Guard> = OnceLock::new();

fn telemetry() -> Guard {
    let (log_format, writer) = (LogFormat::Pretty, Writer::Stderr);
    init(Telemetry {
        service: "gateway",
        log_format,
        otlp_endpoint: None,
        writer,
    })
    .unwrap()
}

/// A running gateway.
pub(crate) struct TestGateway {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) shutdown: Shutdown,
    pub(crate) running: JoinHandle<Result<(), Fatal>>,
}

/// Starts a gateway with a shop that is orders and products in one, and further flags.
pub(crate) async fn start(users: SocketAddr, shop: SocketAddr, flags: &[&str]) -> TestGateway {
    start_among(users, shop, shop, flags).await
}

/// Starts a gateway among neighbours, with further flags.
pub(crate) async fn start_among(
    users: SocketAddr,
    orders: SocketAddr,
    products: SocketAddr,
    flags: &[&str],
) -> TestGateway {
    start_with_orders_at(users, &format!("http://{orders}"), products, flags).await
}

/// Starts a gateway whose orders are at any number of addresses.
pub(crate) async fn start_with_orders_at(
    users: SocketAddr,
    orders: &str,
    products: SocketAddr,
    flags: &[&str],
) -> TestGateway {
    let [users, products] = [users, products].map(|address| format!("http://{address}"));
    let mut args = vec!["gateway", "--http-port=0", "--admin-port=0"];
    if !flags.iter().any(|flag| flag.starts_with("--bind-host")) {
        args.push("--bind-host=127.0.0.1");
    }
    // A part of a dashboard that is late is left out, and on a busy machine each may be.
    if !flags
        .iter()
        .any(|flag| flag.starts_with("--dashboard-deadline"))
    {
        args.push("--dashboard-deadline=30s");
    }
    args.extend([
        "--users-url",
        &users,
        "--orders-url",
        orders,
        "--products-url",
        &products,
    ]);
    args.extend(flags);
    let config: Config = try_from_args(args).unwrap();
    let listeners = Listeners::bind(&config).await.unwrap();
    // A port at all addresses is reached at this one, too.
    let port = listeners.http.local_addr().unwrap().port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let admin = listeners.admin.local_addr().unwrap();
    TELEMETRY.get_or_init(telemetry);
    let shutdown = Shutdown::manual();
    let running = tokio::spawn(gateway::run(config, listeners, shutdown.clone()));
    TestGateway {
        address,
        admin,
        shutdown,
        running,
    }
}

impl TestGateway {
    /// Between neighbours that are well.
    pub(crate) async fn healthy() -> Self {
        let (users, _) = FakeUsers::default().serve().await;
        start(users, FakeShop::default().serve().await, &[]).await
    }

    pub(crate) fn call(&self, method: Method, path: &str) -> Call {
        Call::new(method, format!("http://{}{path}", self.address))
    }

    pub(crate) fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> Call {
        self.call(Method::POST, path)
    }

    /// What `/readyz` says.
    pub(crate) async fn ready(&self) -> bool {
        Call::new(Method::GET, format!("http://{}/readyz", self.admin))
            .send()
            .await
            .status
            .is_success()
    }
}
