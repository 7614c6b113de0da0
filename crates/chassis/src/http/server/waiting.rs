//! Whether a connection waits for nothing but its reader. It is busy then, but with no work: when there is no place for one more
//! connection, it makes room as an idle one does.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How many answers of one connection wait for its reader. Only who keeps us waiting touches it.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    answers: usize,
    /// When the last one of them began to wait.
    since: Option<Instant>,
}

impl Waiting {
    /// So many answers begin to wait.
    pub(super) fn begin(&self, answers: usize) {
        let mut state = self.0.lock();
        state.answers += answers;
        state.since = Some(Instant::now());
    }

    /// So many of them wait no longer.
    pub(super) fn end(&self, answers: usize) {
        self.0.lock().answers -= answers;
    }

    /// For how long all answers have waited, if `open` requests are unfinished; `None` if no answer waits, or some requests are
    /// worked on. A request may be finished for us while its answer is still being written.
    pub(super) fn of_all(&self, open: usize) -> Option<Duration> {
        let state = self.0.lock();
        let all = state.answers > 0 && state.answers >= open;
        state.since.filter(|_| all).map(|since| since.elapsed())
    }
}

#[cfg(test)]
impl Waiting {
    /// Sets the clock back: they began so much earlier.
    pub(super) fn began_before(&self, earlier: Duration) {
        let mut state = self.0.lock();
        state.since = state.since.and_then(|since| since.checked_sub(earlier));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_waits_if_all_of_its_answers_do() {
        let waiting = Waiting::default();
        assert_eq!((waiting.of_all(0), waiting.of_all(1)), (None, None));
        waiting.begin(1);
        assert!(waiting.of_all(1).is_some());
        assert!(waiting.of_all(0).is_some(), "it is still being written");
        assert_eq!(waiting.of_all(2), None, "one is worked on");
        waiting.begin(1);
        assert!(waiting.of_all(2).is_some());
        waiting.end(2);
        assert_eq!((waiting.of_all(0), waiting.of_all(1)), (None, None));
    }
}
