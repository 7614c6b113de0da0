//! How many dead letters wait: a gauge, a state, and one line in the log when the first one comes.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::DeadLetterStore;
use crate::{MessagingError, Status};

/// How often they are counted.
const EVERY: Duration = Duration::from_secs(10);
/// How long a count may take. The engines here give up a host that is gone without a word by themselves; for others the gauge would
/// stand still long after they are back. Not shorter: a topic is read to be counted, and if it has many records that takes minutes.
const ANSWER_MAX: Duration = Duration::from_secs(600);
/// How many counts in a row must be smaller until a smaller number is accepted, on engines where a visit hides letters from the
/// count: otherwise each visit would look like the end of the trouble, and the end of the visit like new trouble.
const BELIEVED_AFTER: usize = 3;

/// Counts the letters of a store until `shutdown`, for the gauge `messaging_dead_letters` and for `status`, which is down
/// while there are any. An engine that is away is reported by whoever consumes from it.
pub(crate) async fn run(
    store: &dyn DeadLetterStore,
    status: &Status,
    shutdown: &CancellationToken,
) {
    let mut known = 0;
    let mut recent = Recent::default();
    loop {
        // An engine that is away answers late, and must not hold up a stop.
        let counted = timeout(ANSWER_MAX, count(store, &mut recent));
        match shutdown.run_until_cancelled(counted).await {
            Some(Ok(Ok((waiting, place)))) => {
                tell(known, waiting, &place, status);
                known = waiting;
            }
            Some(Ok(Err(error))) => tracing::debug!(%error, "dead letters cannot be counted now"),
            Some(Err(_late)) => tracing::debug!("nobody says how many dead letters there are"),
            None => return,
        }
        let pause = tokio::time::sleep(EVERY);
        if shutdown.run_until_cancelled(pause).await.is_none() {
            return;
        }
    }
}

/// All of them, and the place that has the most.
async fn count(
    store: &dyn DeadLetterStore,
    recent: &mut Recent,
) -> Result<(u64, String), MessagingError> {
    let (mut all, mut most) = (0, (0, String::new()));
    for place in store.places().await? {
        let mut count = store.count(&place).await?;
        if store.hides_what_is_looked_at() {
            count = recent.largest_with(&place, count);
        }
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

/// The last counts of each place.
#[derive(Default)]
struct Recent(HashMap<String, VecDeque<u64>>);

impl Recent {
    /// Adds a count, and returns the largest of the last [`BELIEVED_AFTER`].
    fn largest_with(&mut self, place: &str, count: u64) -> u64 {
        let counts = self.0.entry(place.to_owned()).or_default();
        counts.push_back(count);
        if counts.len() > BELIEVED_AFTER {
            counts.pop_front();
        }
        counts.iter().copied().max().unwrap_or(count)
    }
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use parking_lot::Mutex;

    use super::*;
    use crate::dead_letters::Visit;
    use crate::logged::Logged;

    const PLACE: &str = "jobs.dead";

    /// Has as many letters as the list says, one look after the other, and ends the counting with the last.
    struct Scripted {
        counts: Mutex<VecDeque<u64>>,
        /// How long a count takes.
        takes: Duration,
        end: CancellationToken,
        hides: bool,
    }

    #[async_trait]
    impl DeadLetterStore for Scripted {
        async fn places(&self) -> Result<Vec<String>, MessagingError> {
            Ok(vec![PLACE.to_owned()])
        }

        async fn count(&self, _: &str) -> Result<u64, MessagingError> {
            tokio::time::sleep(self.takes).await;
            let mut counts = self.counts.lock();
            let count = counts.pop_front();
            if counts.is_empty() {
                self.end.cancel();
            }
            count.ok_or_else(|| MessagingError::Unavailable("away".to_owned()))
        }

        fn hides_what_is_looked_at(&self) -> bool {
            self.hides
        }

        async fn visit(&self, _: &str) -> Result<Box<dyn Visit>, MessagingError> {
            Err(MessagingError::Name(PLACE.to_owned()))
        }
    }

    /// Never answers; counts how often it was asked.
    #[derive(Default)]
    struct Silent {
        asked: AtomicUsize,
    }

    #[async_trait]
    impl DeadLetterStore for Silent {
        async fn places(&self) -> Result<Vec<String>, MessagingError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            std::future::pending().await
        }

        async fn count(&self, _: &str) -> Result<u64, MessagingError> {
            std::future::pending().await
        }

        async fn visit(&self, _: &str) -> Result<Box<dyn Visit>, MessagingError> {
            std::future::pending().await
        }
    }

    fn waiting(count: u64) -> Result<(), String> {
        Err(format!("{count} dead letters, most in {PLACE}"))
    }

    /// What the status and the log are told of these counts.
    async fn told(
        counts: impl IntoIterator<Item = u64>,
        hides: bool,
    ) -> (Vec<Result<(), String>>, Vec<String>) {
        told_after(Duration::ZERO, counts, hides).await
    }

    /// The same if each count takes so long.
    async fn told_after(
        takes: Duration,
        counts: impl IntoIterator<Item = u64>,
        hides: bool,
    ) -> (Vec<Result<(), String>>, Vec<String>) {
        let log = Logged::begin();
        let told: Arc<Mutex<Vec<_>>> = Arc::default();
        let notes = Arc::clone(&told);
        let status = Status::new(Arc::new(move |state| notes.lock().push(state)));
        let end = CancellationToken::new();
        let store = Scripted {
            counts: Mutex::new(counts.into_iter().collect()),
            takes,
            end: end.clone(),
            hides,
        };
        let ended = timeout(10 * ANSWER_MAX, run(&store, &status, &end)).await;
        ended.expect("an end");
        let told = told.lock().clone();
        (told, log.of("WARN"))
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_letter_is_one_warning_and_how_many_there_are_is_told() {
        let (told, warnings) = told([0, 1, 3, 3, 0, 2], false).await;
        assert_eq!(told, [Ok(()), waiting(1), waiting(3), Ok(()), waiting(2)]);
        // Once for each time that there were none before.
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("count=1") && warnings[1].contains("count=2"));
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_that_it_takes_minutes_are_counted() {
        let (told, _) = told_after(Duration::from_secs(300), [0, 7], false).await;
        assert_eq!(told, [Ok(()), waiting(7)]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_does_not_answer_holds_up_no_stop() {
        let end = CancellationToken::new();
        let status = Status::ignore();
        let silent = Silent::default();
        let running = run(&silent, &status, &end);
        let stopping = async {
            tokio::task::yield_now().await;
            end.cancel();
        };
        let both = async { tokio::join!(running, stopping) };
        let ended = tokio::time::timeout(EVERY, both).await;
        assert!(ended.is_ok(), "it waits for an answer");
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_fell_silent_is_asked_again() {
        let (silent, status, end) = (
            Silent::default(),
            Status::ignore(),
            CancellationToken::new(),
        );
        let running = run(&silent, &status, &end);
        let ended = timeout(2 * (ANSWER_MAX + EVERY), running).await;
        assert!(ended.is_err(), "nobody has asked it to end");
        assert!(silent.asked.load(Ordering::Relaxed) > 1);
    }

    #[tokio::test(start_paused = true)]
    async fn somebody_who_looks_at_the_letters_changes_nothing() {
        let (told, warnings) = told([3, 0, 3, 1, 0, 3, 0, 0, 0], true).await;
        assert_eq!(told, [waiting(3), Ok(())]);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }
}
