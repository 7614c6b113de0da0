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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use async_trait::async_trait;
    use parking_lot::Mutex;

    use super::*;
    use crate::dead_letters::Visit;
    use crate::logged::Logged;

    const PLACE: &str = "jobs.dead";

    /// Has as many letters as the list says, one look after the other, and ends the counting with the last.
    struct Scripted(Mutex<VecDeque<u64>>, CancellationToken);

    #[async_trait]
    impl DeadLetterStore for Scripted {
        async fn places(&self) -> Result<Vec<String>, MessagingError> {
            Ok(vec![PLACE.to_owned()])
        }

        async fn count(&self, _: &str) -> Result<u64, MessagingError> {
            let mut counts = self.0.lock();
            let count = counts.pop_front();
            if counts.is_empty() {
                self.1.cancel();
            }
            count.ok_or_else(|| MessagingError::Unavailable("away".to_owned()))
        }

        async fn visit(&self, _: &str) -> Result<Box<dyn Visit>, MessagingError> {
            Err(MessagingError::Name(PLACE.to_owned()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_letter_is_one_warning_and_how_many_there_are_is_told() {
        let log = Logged::begin();
        let told: Arc<Mutex<Vec<_>>> = Arc::default();
        let notes = Arc::clone(&told);
        let status = Status::new(Arc::new(move |state| notes.lock().push(state)));

        let shutdown = CancellationToken::new();
        let counts = [0, 1, 3, 3, 0, 2].into();
        let store = Scripted(Mutex::new(counts), shutdown.clone());
        run(&store, &status, &shutdown).await;

        let waiting = |count| Err(format!("{count} dead letters, most in {PLACE}"));
        assert_eq!(
            *told.lock(),
            [Ok(()), waiting(1), waiting(3), Ok(()), waiting(2)]
        );
        // Once for each time that there were none before.
        let warnings = log.of("WARN");
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("count=1") && warnings[1].contains("count=2"));
    }
}
