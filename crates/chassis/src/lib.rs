//! What every service starts with, and nothing of what it is about: configuration, telemetry,
//! health, shutdown, doors (HTTP and gRPC), errors, identity, the database connection.
//!
//! A service's `main` is a list of these parts in this order (`examples/hello.rs` is a whole one):
//!
//! ```text
//! let config: Config = chassis::config::parse();                       // bad value: one line, exit 2
//! let _telemetry = chassis::telemetry::init(config.service.telemetry("orders"))?;
//! descriptors::raise();                                                // many connections, or a WARN
//! let listeners = Listeners::bind(&config).await?;                     // taken port: one line, exit 1
//! run(config, listeners, Shutdown::on_signals()).await                 // drains on SIGTERM
//! ```
//!
//! | need | module |
//! |---|---|
//! | flags and environment | [`config`], [`listen`] |
//! | logs, traces, metrics | [`telemetry`], [`trace`], [`metrics`] |
//! | `/livez`, `/readyz`, `/metrics`; the image's check | [`health`], [`admin`], [`healthcheck`] |
//! | an HTTP door | [`http`], [`problem`], [`extract`], [`page`] |
//! | a gRPC door | [`grpc`] |
//! | how long a request may take, and how many at once | [`door`], [`arrival`], [`descriptors`] |
//! | who is calling, and from where | [`auth`], [`proxies`] |
//! | PostgreSQL | [`db`] |
//! | stopping well | [`Shutdown`], [`tasks`] |
#![forbid(unsafe_code)]

pub mod admin;
pub mod arrival;
pub mod auth;
pub mod config;
pub mod db;
pub mod descriptors;
pub mod door;
pub mod extract;
pub mod grpc;
pub mod health;
pub mod healthcheck;
pub mod http;
pub mod listen;
pub mod metrics;
pub mod page;
pub mod problem;
pub mod proxies;
pub mod tasks;
pub mod telemetry;
pub mod trace;

mod fatal;
mod shutdown;
mod signals;
mod stalls;

pub use fatal::Fatal;
pub use shutdown::Shutdown;
pub use signals::Signals;

/// Any error, boxed; what the edges of this crate accept from their callers.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
