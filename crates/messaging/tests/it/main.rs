//! The adapters against real engines: librdkafka's mock cluster and a private PostgreSQL.

#![expect(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in test functions, not in their helpers"
)]

mod conformance;
mod dead_letters;
mod examples;
mod kafka_batches;
mod kafka_consumer;
mod kafka_failures;
mod kafka_group;
mod kafka_publisher;
mod pg_acknowledge;
mod pg_plans;
mod pg_publish;
mod pg_queue;
mod pg_silent;
mod queues;
mod support;
