//! Calling another service.
//!
//! * [`Peer`]: which one, where ([`Address`]) and how ([`ClientConfig`]); each service declares each of its peers once;
//! * [`RestClient`]: JSON over HTTP, problem documents read back into [`CallError::Problem`];
//! * [`GrpcChannel`]: what a generated gRPC client is made over;
//! * [`HttpPool`]: HTTP streamed both ways, for a proxy; the REST client is made over it;
//! * [`discovery`]: finds the endpoints, and notices when they change;
//! * [`Monitor`]: what people see of a client, and what they can force.
//!
//! All of them go through the same layers in the same order; `stack.rs` says which, and why.
//!
//! Each of them carries the trace context of the current span along, and none of them holds the token of
//! one caller for the next: [`CallContext`] and [`authorized`] take it per call.

mod body;
mod config;
mod context;
pub mod discovery;
mod endpoint;
mod error;
mod failure;
mod grpc;
mod patience;
mod peer;
mod pool;
mod problem;
mod pushback;
mod rest;
mod stack;
mod trace;

pub use body::{RequestBody, Sent};
pub use config::{AdaptiveSettings, BreakerSettings, BulkheadSettings, ClientConfig, HealthCheck};
pub use context::CallContext;
pub use discovery::{Address, Discovery, Dns};
pub use endpoint::MAX_RESPONSE_BYTES;
pub use error::CallError;
pub use grpc::{GrpcChannel, HeldBody, authorized};
pub use patience::within;
pub use peer::Peer;
pub use pool::{BodyError, HttpPool, PooledBody};
pub use problem::{ProblemBody, ProblemField};
pub use rest::RestClient;
pub use stack::{Force, Monitor};
pub use trace::inject;
