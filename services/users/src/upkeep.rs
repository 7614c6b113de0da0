//! What goes on beside the requests.

use std::time::Duration;

use std::sync::Arc;

use backoff::Backoff;
use messaging::Queue;
use tokio_util::sync::CancellationToken;

use crate::keys::Keyring;

/// Replaces and forgets keys when it is time, and learns of those that other replicas made, every
/// `refresh`, until `shutdown`.
pub(crate) async fn keep_keys(keyring: Keyring, refresh: Duration, shutdown: CancellationToken) {
    let keep = async {
        let mut was_well = true;
        loop {
            tokio::time::sleep(refresh).await;
            match keyring.maintain().await {
                Ok(()) => was_well = true,
                // Once for each outage. Nobody is hurt yet: what is known suffices for a while, and who
                // signs after that asks the database himself.
                Err(error) if was_well => {
                    was_well = false;
                    tracing::warn!(%error, "signing keys could not be looked at; trying again");
                }
                Err(_) => {}
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
            if backoff.attempt() == 0 {
                tracing::warn!(%error, "the queue is not there yet; trying again");
            }
            tokio::time::sleep(backoff.next()).await;
        }
    };
    shutdown.run_until_cancelled(install).await;
    // A part of the service that ended would be a failure.
    shutdown.cancelled().await;
}
