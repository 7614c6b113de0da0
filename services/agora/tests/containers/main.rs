//! `agora` against real engines.

#![allow(
    dead_code,
    reason = "the modules of tests/it also hold what only their own tests need"
)]

#[path = "../it/redrive.rs"]
mod redrive;
#[path = "../it/support.rs"]
mod support;

use std::process::ExitCode;
use std::sync::Arc;

use containers::{RabbitMq, Test};
use messaging::amqp::AmqpQueue;
use uuid::Uuid;

fn main() -> ExitCode {
    containers::run(vec![Test::new(
        "a_redrive_over_rabbitmq_that_is_killed_twice_loses_nothing",
        a_redrive_over_rabbitmq_that_is_killed_twice_loses_nothing,
    )])
}

/// A letter whose redrive is killed between the copy and its settlement comes twice, under the same id: at most those that a
/// kill caught in between, and an inbox makes nothing of the second one.
async fn a_redrive_over_rabbitmq_that_is_killed_twice_loses_nothing() {
    let url = RabbitMq::shared().await.url();
    let name = format!("jobs-{}", Uuid::new_v4().simple());
    let queue = AmqpQueue::new(&url, "test").expect("a queue");
    let place = ["--amqp", url.as_str(), "--queue", name.as_str()];
    let done = redrive::killed_twice_under_traffic(Arc::new(queue), &name, &place).await;
    let twice = done.iter().filter(|(_, times)| **times > 1).count();
    assert!(
        twice < done.len() / 10,
        "{twice} of {} came twice",
        done.len()
    );
}
