//! The adapters against real engines in containers: RabbitMQ and Apache Kafka.
//!
//! The bodies that also run on the mock cluster and on PostgreSQL are those of `tests/it`.

#![allow(
    dead_code,
    unused_imports,
    reason = "modules of tests/it also hold what only the mock and PostgreSQL need"
)]
#![expect(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in test functions, not in their helpers"
)]

mod amqp;
mod amqp_consumer;
mod amqp_outages;
mod amqp_tls;
#[path = "../it/conformance/mod.rs"]
mod conformance;
#[path = "../it/dead_letters.rs"]
mod dead_letters;
mod examples;
mod kafka;
#[path = "../it/kafka_consumer.rs"]
mod kafka_consumer;
#[path = "../it/kafka_failures.rs"]
mod kafka_failures;
#[path = "../it/kafka_group.rs"]
mod kafka_group;
#[path = "../it/kafka_publisher.rs"]
mod kafka_publisher;
mod letters;
#[path = "../it/queues.rs"]
mod queues;
#[path = "../it/support/mod.rs"]
mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(task) = embedded::testing::task() {
        conformance::processes::consume(task);
    }
    let mut tests = amqp::tests();
    tests.extend(amqp_consumer::tests());
    tests.extend(amqp_outages::tests());
    tests.extend(amqp_tls::tests());
    tests.extend(kafka::tests());
    tests.extend(examples::tests());
    tests.extend(letters::tests());
    containers::run(tests)
}
