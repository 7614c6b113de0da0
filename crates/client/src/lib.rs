//! Clients for other services: found by name, balanced over their endpoints, through all layers of the crate
//! `resilience`.
//!
//! ```no_run
//! use client::{Address, CallContext, CallError, ClientConfig, Peer, RestClient};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! // From the configuration: where it is, and how it is called.
//! let address: Address = "http://prices:8082".parse()?;
//! let config: ClientConfig = "deadline=2s,attempt=500ms,retries=2".parse()?;
//! let prices = RestClient::new(Peer::new("prices", address, config).called_by("invoices"));
//!
//! // On behalf of one caller. What is left of the deadline and the trace travel along.
//! let caller = CallContext::bearer("the caller's token");
//! match prices.get::<serde_json::Value>("/v1/prices/42", &caller).await {
//!     Ok(price) => println!("{price}"),
//!     Err(error) if error.is_not_found() => println!("there is none"),
//!     Err(CallError::Unavailable { peer, .. }) => println!("{peer} is away"),
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok(()) }
//! ```
//!
//! | to | see |
//! |---|---|
//! | say who is called, where and how | [`Peer`], [`Address`], [`ClientConfig`]; each service declares each of its peers once |
//! | call REST | [`RestClient`]: JSON, problem documents read back into [`CallError::Problem`] |
//! | follow server-sent events | [`Events`]: read on over answers that end |
//! | call gRPC | [`GrpcChannel`]: generated clients are built on it |
//! | pass requests on | [`HttpPool`]: HTTP streamed both ways, for a proxy; the REST client is built on it |
//! | pass a caller's token on | [`CallContext`], [`authorized`]: with each call, so that no client keeps it for the next |
//! | give calls less time | [`within`] |
//! | find endpoints | [`discovery`]: looked up in the background and updated when they change |
//! | inspect and force | [`Monitor`]: the state of a client, and what can be set; with the feature `chassis`, `watch_peers` puts it on the admin port and into `/readyz` |
//!
//! All of them go through the same layers in the same order; `stack.rs` says which, and why.

mod body;
mod config;
mod context;
pub mod discovery;
mod endpoint;
mod error;
mod events;
mod failure;
mod grpc;
mod health;
mod patience;
mod peer;
mod pool;
mod problem;
mod pushback;
mod rest;
#[cfg(feature = "chassis")]
mod service;
mod stack;
mod trace;

pub use body::{RequestBody, Sent};
pub use config::{
    AdaptiveSettings, BreakerSettings, BulkheadSettings, ClientConfig, HealthCheck, SETTINGS,
};
pub use context::CallContext;
pub use discovery::{Address, Discovery, Dns};
pub use endpoint::MAX_RESPONSE_BYTES;
pub use error::CallError;
pub use events::{Asking, Events};
pub use grpc::{GrpcChannel, HeldBody, authorized};
pub use patience::within;
pub use peer::Peer;
pub use pool::{BodyError, HttpPool, PooledBody};
pub use problem::{ProblemBody, ProblemField};
pub use rest::RestClient;
#[cfg(feature = "chassis")]
pub use service::watch_peers;
pub use stack::{Force, Monitor};
pub use trace::inject;
