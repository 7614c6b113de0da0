//! What goes on beside the requests.

use std::time::Duration;

use std::sync::Arc;

use backoff::Backoff;
use messaging::Queue;
use tokio_util::sync::CancellationToken;

use crate::{error::Error, keys::Keyring};

/// Replaces and forgets keys when it is time, and learns of those that other replicas made, every
/// `refresh`, until `shutdown`.
pub(crate) async fn keep_keys(keyring: Keyring, refresh: Duration, shutdown: CancellationToken) {
    let keep = async {
        loop {
            tokio::time::sleep(refresh).await;
            match keyring.maintain().await.map_err(Error::from) {
                Ok(()) => {}
                // Readiness tells of it. Nobody is hurt yet: what is known suffices for a while, and who signs after
                // that asks the database himself.
                Err(error) if error.is_unavailable() => {}
                Err(error) => tracing::error!(%error, "signing keys could not be looked at"),
            }
        }
    };
    // A pass that is cut short is rolled back.
    shutdown.run_until_cancelled(keep).await;
}

/// Makes what the queue's engine needs (tables in PostgreSQL) as soon as it is there. The relay needs them, requests do not: until
/// then events wait in the outbox.
pub(crate) async fn install_queue(queue: Arc<dyn Queue>, shutdown: CancellationToken) {
    let install = async {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        while let Err(error) = queue.install().await {
            // No warning: it matters once an event waits for it, and of that the relay tells.
            tracing::debug!(%error, "the queue is not there yet; trying again");
            tokio::time::sleep(backoff.next()).await;
        }
    };
    shutdown.run_until_cancelled(install).await;
    // A part of the service that ended would be a failure.
    shutdown.cancelled().await;
}
