//! Calling another service.
//!
//! * [`Peer`]: which one, where, and how long an answer may take; one for each peer of a service;
//! * [`RestClient`]: JSON over HTTP, problem documents read back into [`CallError::Problem`];
//! * [`grpc_channel`]: a gRPC channel that connects lazily and bounds each call in time;
//! * [`HttpPool`]: the pooled, bounded HTTP connections underneath; a proxy uses it directly, to stream.
//!
//! Each of them carries the trace context of the current span along, and none of them holds the token of
//! one caller for the next: [`CallContext`] and [`authorized`] take it per call.

mod config;
mod context;
pub mod discovery;
mod error;
mod grpc;
mod peer;
mod pool;
mod problem;
mod rest;
mod trace;

pub use config::{BreakerSettings, BulkheadSettings, ClientConfig, HealthCheck};
pub use context::CallContext;
pub use discovery::{Address, Discovery};
pub use error::CallError;
pub use grpc::{GrpcChannel, authorized, grpc_channel};
pub use peer::{Peer, parse_url};
pub use pool::{BodyError, HttpPool, PoolOptions, PooledBody};
pub use problem::{ProblemBody, ProblemField};
pub use rest::{MAX_RESPONSE_BYTES, RestClient};
pub use trace::inject;
