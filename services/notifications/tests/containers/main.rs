//! The service as it runs, with its queues on a real RabbitMQ.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(
    dead_code,
    unused_imports,
    reason = "the modules of tests/it also hold what only their own tests need"
)]

#[path = "../it/app.rs"]
mod app;
#[path = "../it/mail_server.rs"]
mod mail_server;
#[path = "../it/mails.rs"]
mod mails;
#[path = "../it/running.rs"]
mod running;

use std::process::ExitCode;

use containers::{RabbitMq, Test};
use envelope::Event;

use crate::app::{World, created};

fn main() -> ExitCode {
    containers::run(vec![Test::new(
        "facts_become_mails_over_rabbitmq",
        facts_become_mails_over_rabbitmq,
    )])
}

/// The whole way: exchange, welcome queue, outbox, work queue, mail; and all of it again after the broker was
/// restarted.
async fn facts_become_mails_over_rabbitmq() {
    let broker = RabbitMq::own().await;
    let app = World::on_rabbitmq(&broker.url()).await.run(None).await;
    let user = app.knows("Ada").await;
    let sign_up = Event::new(created("Bob"));
    app.announces(&sign_up).await;
    // The relay delivers at least once.
    app.announces(&sign_up).await;
    let order = app.confirms(user).await;
    let mails = app.until_mails(2).await;
    assert!(mails.iter().any(|m| m.body.contains(&order.to_string())));
    assert!(mails.iter().any(|m| m.body.contains("Bob")));

    broker.stop().await;
    app.until("not ready", || async {
        running::status(app.admin, "/readyz").await == 503
    })
    .await;
    let later = app.confirms(user).await;
    broker.start().await;
    let mails = app.until_mails(3).await;
    assert!(mails.iter().any(|m| m.body.contains(&later.to_string())));
    assert_eq!(mails.len(), 3, "each once");
    app.until("ready again", || async {
        running::status(app.admin, "/readyz").await == 200
    })
    .await;
    app.stop().await;
}
