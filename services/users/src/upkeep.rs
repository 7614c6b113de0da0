//! Background tasks of the service.

use std::time::Duration;

use std::sync::Arc;

use backoff::Backoff;
use chassis::db;
use messaging::Queue;
use tokio_util::sync::CancellationToken;

use crate::{error::Error, keys::Keyring};

/// Rotates and deletes keys when it is time, and reads those that other replicas have created, every `refresh`, until
/// `shutdown`.
pub(crate) async fn keep_keys(keyring: Keyring, refresh: Duration, shutdown: CancellationToken) {
    let keep = async {
        loop {
            tokio::time::sleep(refresh).await;
            let kept = db::within(db::ANSWER_TIMEOUT, keyring.maintain()).await;
            match kept.map_err(Error::from) {
                Ok(()) => {}
                // Readiness reports it. It does no harm yet: the keys that were read suffice for a while, and after
                // that signing reads the database itself.
                Err(error) if error.is_unavailable() => {}
                Err(error) => tracing::error!(%error, "signing keys could not be looked at"),
            }
        }
    };
    // An interrupted pass is rolled back.
    shutdown.run_until_cancelled(keep).await;
}

/// Installs what the queue's engine needs (tables in PostgreSQL) as soon as it is reachable. The relay needs them, but
/// requests do not: until then events wait in the outbox.
pub(crate) async fn install_queue(queue: Arc<dyn Queue>, shutdown: CancellationToken) {
    let install = async {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        while let Err(error) = queue.install().await {
            // No warning: it matters only once an event waits, which the relay reports.
            tracing::debug!(%error, "the queue is not there yet; trying again");
            tokio::time::sleep(backoff.next()).await;
        }
    };
    shutdown.run_until_cancelled(install).await;
    // A task that ends before the shutdown would count as a failure.
    shutdown.cancelled().await;
}
