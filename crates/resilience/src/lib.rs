//! Patterns that limit the cost of a slow or dead dependency.
//!
//! | module | what it limits, and how |
//! |---|---|
//! | [`classify`] | which results are failures, for the patterns that need to know |
//! | [`deadline`] | the time of a whole call, known to all code inside of it |
//! | [`timeout`] | the time of one attempt |
//! | [`retry`] | further attempts of calls that are safe to repeat, within a budget |
//! | [`circuit_breaker`] | calls to a dependency that fails: none for a while |
//! | [`bulkhead`] | the calls in progress at a dependency, fixed or adaptive |
//! | [`load_shed`] | the server's side: refuses early the calls that it cannot process in time |
//! | [`balance`] | spreads calls over endpoints, away from slow and failing ones |
//! | [`fault`] | injects faults into calls, for tests and demonstrations |
//!
//! The wait before the next attempt is computed by the crate `backoff`.
//!
//! Each pattern that wraps calls is a [tower](https://docs.rs/tower) layer laid out in tower's files:
//! `layer`, `service`, `future`, `error`.
//!
//! ```
//! use std::time::Duration;
//!
//! use resilience::circuit_breaker::{CircuitBreaker, CircuitBreakerLayer, Config};
//! use resilience::classify::ErrorsAreFailures;
//! use resilience::timeout::TimeoutLayer;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // What is called; it could be a connection.
//! let doubled = service_fn(|number: u32| async move { Ok::<_, std::io::Error>(number * 2) });
//!
//! // One breaker for the dependency. The timeout is inside of it: a call that takes too long is a failure.
//! let breaker = CircuitBreaker::new("doubler", Config::default())?;
//! let doubled = CircuitBreakerLayer::new(breaker.clone(), ErrorsAreFailures)
//!     .layer(TimeoutLayer::new(Duration::from_millis(500)).layer(doubled));
//!
//! assert_eq!(doubled.oneshot(21).await?, 42);
//! assert_eq!(breaker.state().as_str(), "closed");
//! # Ok(()) }
//! ```
//!
//! The order of the layers around a call, and the reasons for it, are in the crate `client`, which combines all of
//! them.
//!
//! The constructors and polls of the layers' futures are `#[inline]`: each layer moves the future of the next one, and
//! inlined moves are merged. That saves a quarter of the cost of a stack of four.
//!
//! Architecture invariant: this crate does no I/O of its own and knows nothing of this system.

pub mod balance;
pub mod bulkhead;
pub mod circuit_breaker;
pub mod classify;
pub mod deadline;
pub mod fault;
pub mod load_shed;
pub mod retry;
pub mod timeout;

mod config_error;

pub use config_error::ConfigError;
