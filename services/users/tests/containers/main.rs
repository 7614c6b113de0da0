//! The users service with its queue on a real RabbitMQ.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(
    dead_code,
    unused_imports,
    reason = "the modules of tests/it also hold what only their own tests need"
)]

#[path = "../it/announcements.rs"]
mod announcements;
#[path = "../it/app.rs"]
mod app;

use std::process::ExitCode;
use std::sync::Arc;

use containers::{RabbitMq, Test};
use messaging::amqp::AmqpQueue;

use crate::app::Setup;

fn main() -> ExitCode {
    containers::run(vec![Test::new(
        "a_new_account_is_told_over_rabbitmq",
        a_new_account_is_told_over_rabbitmq,
    )])
}

/// As a user of the broker who may do nothing but announce.
async fn a_new_account_is_told_over_rabbitmq() {
    let broker = RabbitMq::shared().await;
    let own = "^user\\.created$";
    let url = broker.add_user("users", [own, own, "^$"]).await;
    let reader = Arc::new(AmqpQueue::new(&broker.url(), "test").unwrap());
    let setup = Setup::new().with([format!("--amqp-url={url}")]);
    announcements::a_new_account_is_told(setup, reader).await;
}
