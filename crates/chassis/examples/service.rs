//! The smallest service: `main` is a list, `run` is the wiring.
//!
//! ```sh
//! cargo run -p chassis --example service -- --http-port 8080
//! curl -i localhost:8080/hello/you
//! ```
#![allow(clippy::print_stdout, reason = "a program tells where it listens")]

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use chassis::admin::{self, Clients, DeadLetters};
use chassis::extract::Path;
use chassis::health::Health;
use chassis::problem::Problem;
use chassis::tasks::Tasks;
use chassis::{Fatal, Shutdown, config, descriptors, http, telemetry};
use clap::Parser;

/// Says hello.
#[derive(Parser)]
#[command(name = "hello", version)]
struct Config {
    #[command(flatten)]
    service: config::Service,
    #[command(flatten)]
    server: config::Server,
    /// Port that says hello.
    #[arg(long, env = "HTTP_PORT", default_value = "8080")]
    http_port: u16,
    /// Port of /livez, /readyz and /metrics.
    #[arg(long, env = "ADMIN_PORT", default_value = "8090")]
    admin_port: u16,
    /// Password that it never tells.
    #[arg(long, env = "HELLO_PASSWORD", hide_env_values = true, value_parser = password)]
    password: Option<String>,
}

chassis::listeners! {
    /// Where it listens.
    struct Listeners for Config {
        /// It says hello here.
        http: http_port,
    }
}

// An error prints as `Error: <one line>` and exits with 1.
#[tokio::main]
async fn main() -> Result<(), Fatal> {
    let config: Config = config::parse();
    let _telemetry = telemetry::init(config.service.telemetry("hello"))?;
    descriptors::raise();
    let listeners = Listeners::bind(&config).await?;
    println!("http {}", listeners.http.local_addr()?);
    println!("admin {}", listeners.admin.local_addr()?);
    run(config, listeners, Shutdown::on_signals()).await
}

async fn run(config: Config, listeners: Listeners, shutdown: Shutdown) -> Result<(), Fatal> {
    let deadline = config.service.shutdown_deadline;
    let health = Health::new("hello");
    let router = http::standard("hello", 64 * 1024, config.server.limits()?).around(routes());
    let options = config.server.options(deadline);
    // It calls nobody, so there is nothing to switch; a service that does adds its clients here.
    let controls = admin::controls(
        "hello",
        Clients::new(),
        DeadLetters::default(),
        config.service.faults(),
    );
    let access = config.service.admin_access();
    let mut tasks = Tasks::new(shutdown.clone());
    tasks.spawn(
        "http",
        http::serve(listeners.http, router, options, shutdown.clone()),
    );
    tasks.spawn(
        "admin",
        admin::serve(listeners.admin, access, health.clone(), controls, shutdown),
    );
    health.ready();
    tasks.join(deadline + Duration::from_secs(1)).await
}

fn routes() -> Router {
    Router::new()
        .route(
            "/hello/{name}",
            get(|Path(name): Path<String>| async move { format!("hello, {name}\n") }),
        )
        .route("/slow/{ms}", get(slow))
        .route(
            "/broken",
            get(|| async { Problem::internal(&std::io::Error::other("the disk is full")) }),
        )
}

async fn slow(Path(ms): Path<u64>) -> &'static str {
    tracing::info!(ms, "slow request begun");
    tokio::time::sleep(Duration::from_millis(ms.min(60_000))).await;
    "done\n"
}

fn password(text: &str) -> Result<String, String> {
    if text.len() >= 8 {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is shorter than 8 characters"))
    }
}
