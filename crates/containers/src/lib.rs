//! Real engines for tests: RabbitMQ and Apache Kafka in containers, and the test harness for them.
//!
//! A machine without docker is no reason to pass, nor to fail: such a test shows as *ignored*, with the reason.
//! `#[ignore]` is decided when a test is compiled, so these tests are a target of their own (`tests/containers/`)
//! with `harness = false`, and its `main` hands them to [`run`], which decides when they run. With
//! [`REQUIRE_DOCKER`] set to `1` a missing docker is a failure: for CI, where ignored would be forgotten.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use containers::{Kafka, Test};
//!
//! fn main() -> ExitCode {
//!     containers::run(vec![Test::new("a_broker_answers", a_broker_answers)])
//! }
//!
//! async fn a_broker_answers() {
//!     let kafka = Kafka::shared().await;
//!     println!("{}", kafka.brokers());
//! }
//! ```
//!
//! Engines are started when the first test asks for one, shared by all tests of the process, and removed at the end,
//! also after a panic or Ctrl-C. A test that stops its engine takes one of its own.
//!
//! | engine | shared by the tests of a process | of one's own |
//! |---|---|---|
//! | [`Kafka`] | [`Kafka::shared`] | [`Kafka::own`], [`Kafka::making_topics`] |
//! | [`RabbitMq`] | [`RabbitMq::shared`] | [`RabbitMq::own`] |
//!
//! RabbitMQ also answers over TLS, with a certificate of its own [`Authority`].
//!
//! Outside of [`run`], in an example that measures, an engine of its own is removed when it is dropped.
//!
//! [`example`] runs what readers of the documentation run, with or without an engine.

mod authority;
mod docker;
mod example;
mod harness;
mod kafka;
mod rabbitmq;

pub use authority::{Authority, Issued};
pub use docker::REQUIRE_DOCKER;
pub use example::example;
pub use harness::{Test, run};
pub use kafka::Kafka;
pub use rabbitmq::RabbitMq;
