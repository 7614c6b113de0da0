//! Patterns that bound what a slow or dead dependency costs.
//!
//! | module | what it bounds, and how |
//! |---|---|
//! | [`classify`] | what counts as a failure, for the patterns that need to know |
//! | [`deadline`] | how long a whole call may take, known to everything inside of it |
//! | [`timeout`] | how long one attempt may take |
//! | [`retry`] | attempts of what is safe to repeat, within a budget |
//! | [`circuit_breaker`] | calls to a dependency that fails: none for a while |
//! | [`bulkhead`] | the calls in progress at a dependency, fixed or adaptive |
//! | [`load_shed`] | the server's side: refuses early what it cannot do in time |
//! | [`balance`] | spreads calls over endpoints, away from slow and failing ones |
//! | [`fault`] | breaks calls on purpose, for tests and demonstrations |
//!
//! How long to wait before the next attempt is the crate `backoff`.
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
//! In which order the layers belong around a call, and why, is told by the crate `client`, which puts all of them together.
//!
//! The constructors and polls of the layers' futures are `#[inline]`: each layer moves the future of the one inside of
//! it, and what is inlined is moved once. That is a quarter of what a stack of four costs.
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
