//! RabbitMQ over TLS: who is trusted, and what is said of who is not.

use std::path::Path;

use containers::{RabbitMq, Test};
use messaging::Queue;
use messaging::amqp::AmqpQueue;
use tempfile::TempDir;

use crate::support::unique;

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::new(
        "a_broker_over_tls_is_the_one_that_the_authority_knows",
        a_broker_over_tls_is_the_one_that_the_authority_knows,
    )]
}

/// What comes of a declaration at the broker of this URL.
async fn declare(url: &str) -> Result<(), String> {
    let queue = AmqpQueue::new(url, "tests").map_err(|error| error.to_string())?;
    let declared = queue.declare(&unique("secured")).await;
    declared.map_err(|error| error.to_string())
}

/// The URL with the certificate of an authority, written to a file.
fn trusting(url: &str, directory: &Path, pem: &str) -> String {
    let file = directory.join(unique("ca.crt"));
    std::fs::write(&file, pem).unwrap();
    format!("{url}?cacertfile={}", file.display())
}

async fn a_broker_over_tls_is_the_one_that_the_authority_knows() {
    let broker = RabbitMq::shared().await;
    let directory = TempDir::new().unwrap();
    let (ours, strangers) = (broker.authority(), containers::Authority::new());
    let at = |url: &str, pem: &str| trusting(url, directory.path(), pem);

    declare(&at(&broker.tls_url("localhost"), ours.certificate()))
        .await
        .unwrap();
    for (url, pem, says) in [
        // Another authority.
        (
            broker.tls_url("localhost"),
            strangers.certificate(),
            "invalid peer certificate",
        ),
        // The right one, for another name.
        (
            broker.tls_url("127.0.0.1"),
            ours.certificate(),
            "not valid for name",
        ),
        // No TLS at all.
        (
            broker.url().replacen("amqp:", "amqps:", 1),
            ours.certificate(),
            "TLS: ",
        ),
    ] {
        let why = declare(&at(&url, pem)).await.unwrap_err();
        assert!(why.contains(says), "{why}");
    }
}
