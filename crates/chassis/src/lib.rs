//! The parts that every service needs, independent of what it does: configuration, telemetry, health, shutdown, doors
//! (HTTP and gRPC), errors, identity, the database connection.
//!
//! A service's `main` is a list of these parts, and its `run` is the wiring (`examples/service.rs` is a complete one):
//!
//! ```no_run
//! use axum::Router;
//! use axum::routing::get;
//! use chassis::{Fatal, Shutdown, config, descriptors, http, listen, telemetry};
//! use chassis::tasks::Tasks;
//! use clap::Parser;
//!
//! #[derive(Parser)]
//! struct Config {
//!     #[command(flatten)]
//!     service: config::Service,
//!     #[command(flatten)]
//!     server: config::Server,
//!     /// Port that says hello.
//!     #[arg(long, env = "HTTP_PORT", default_value_t = 8080)]
//!     http_port: u16,
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Fatal> {
//!     let config: Config = config::parse(); // a bad value: one line, exit 2
//!     let _telemetry = telemetry::init(config.service.telemetry("hello"))?;
//!     descriptors::raise(); // many connections, or a WARN
//!     let host = &config.service.bind_host; // a taken port: one line, exit 1
//!     let listener = listen::bind(host, config.http_port, "--http-port", "HTTP_PORT").await?;
//!     let shutdown = Shutdown::on_signals(); // drains on SIGTERM
//!
//!     let deadline = config.service.shutdown_deadline;
//!     let routes = Router::new().route("/hello", get(|| async { "hello\n" }));
//!     let router = http::standard("hello", 64 * 1024, config.server.limits()?).around(routes);
//!     let mut tasks = Tasks::new(shutdown.clone());
//!     tasks.spawn("http", http::serve(listener, router, config.server.options(deadline), shutdown));
//!     tasks.join(deadline).await
//! }
//! ```
//!
//! | need | module |
//! |---|---|
//! | flags and environment | [`config`], [`listen`] |
//! | logs, traces, metrics | [`telemetry`], [`trace`], [`metrics`] |
//! | what happens, while it happens: `/hops` | [`hops`] |
//! | what a command prints | [`output`] |
//! | `/livez`, `/readyz`, `/metrics`; the image's check | [`health`], [`admin`], [`healthcheck`] |
//! | an HTTP door | [`http`], [`problem`], [`extract`], [`page`] |
//! | its OpenAPI document | [`openapi`] |
//! | a gRPC door | [`grpc`] |
//! | how long a request may take, and how many at once | [`limits`], [`arrival`], [`descriptors`] |
//! | who is calling, and from where | [`auth`], [`proxies`] |
//! | PostgreSQL | [`db`] |
//! | the proxy of a service mesh beside it | [`sidecar`] |
//! | the parts with which every service starts and stops | [`Base`], [`ServiceInfo`] |
//! | stopping gracefully | [`Shutdown`], [`tasks`], [`Fatal`] |
#![forbid(unsafe_code)]

pub mod admin;
pub mod arrival;
pub mod auth;
pub mod config;
pub mod db;
pub mod descriptors;
pub mod extract;
pub mod grpc;
pub mod health;
pub mod healthcheck;
pub mod hops;
pub mod http;
pub mod limits;
pub mod listen;
pub mod metrics;
pub mod openapi;
pub mod output;
pub mod page;
pub mod problem;
pub mod proxies;
pub mod sidecar;
pub mod tasks;
pub mod telemetry;
pub mod trace;

mod base;
mod fatal;
mod service;
mod shutdown;
mod signals;
mod stalls;

pub use base::Base;
pub use fatal::Fatal;
pub use service::ServiceInfo;
pub use shutdown::Shutdown;
pub use signals::Signals;

/// A boxed error of any type, as the public functions of this crate accept it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
