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

    /// Where the log goes.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_letter_is_one_warning_and_how_many_there_are_is_told() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone());
        let _log = tracing::subscriber::set_default(log.finish());
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
        let lines = String::from_utf8(lines.0.lock().clone()).unwrap();
        // Once for each time that there were none before.
        assert_eq!(lines.matches(" WARN ").count(), 2, "{lines}");
        assert!(
            lines.contains("count=1") && lines.contains("count=2"),
            "{lines}"
        );
    }
}
