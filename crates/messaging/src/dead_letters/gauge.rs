//! How many dead letters wait: a gauge, a state, and one line in the log when the first one comes.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::DeadLetterStore;
use crate::{MessagingError, Status};

/// How often they are counted.
const EVERY: Duration = Duration::from_secs(10);

/// Counts the letters of a store until `shutdown`, for the gauge `messaging_dead_letters` and for `status`, which is down
/// while there are any. An engine that is away is reported by whoever consumes from it.
pub(crate) async fn run(
    store: &dyn DeadLetterStore,
    status: &Status,
    shutdown: &CancellationToken,
) {
    let mut known = 0;
    loop {
        match count(store).await {
            Ok((waiting, place)) => {
                tell(known, waiting, &place, status);
                known = waiting;
            }
            Err(error) => tracing::debug!(%error, "dead letters cannot be counted now"),
        }
        let pause = tokio::time::sleep(EVERY);
        if shutdown.run_until_cancelled(pause).await.is_none() {
            return;
        }
    }
}

/// All of them, and the place that has the most.
async fn count(store: &dyn DeadLetterStore) -> Result<(u64, String), MessagingError> {
    let (mut all, mut most) = (0, (0, String::new()));
    for place in store.places().await? {
        let count = store.count(&place).await?;
        // Exact up to 2^53.
        #[expect(clippy::cast_precision_loss, reason = "no place holds so many")]
        metrics::gauge!("messaging_dead_letters", "source" => place.clone()).set(count as f64);
        all += count;
        if count > most.0 {
            most = (count, place);
        }
    }
    Ok((all, most.1))
}

fn tell(known: u64, waiting: u64, place: &str, status: &Status) {
    if waiting == 0 {
        status.up();
        return;
    }
    if known == 0 {
        tracing::warn!(
            count = waiting,
            place,
            "messages that could not be handled wait in a dead-letter queue for somebody to look at them"
        );
    }
    status.down(format!("{waiting} dead letters, most in {place}"));
}
