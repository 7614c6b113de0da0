//! Waiting for conditions: a test never waits for a time.

use std::time::{Duration, Instant};

/// How long any condition may take before the test gives up. Generous: a slow machine must not make
/// a test red, and a condition that holds is seen within [`POLL`].
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
pub const POLL: Duration = Duration::from_millis(25);

/// Waits until `probe` answers `Some` and returns what it answered.
///
/// # Panics
/// When [`PATIENCE`] is over; the message names `what` was waited for.
pub fn until<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, probe)
}

/// [`until`] with a patience of its own.
///
/// # Panics
/// When `patience` is over.
pub fn until_within<T>(patience: Duration, what: &str, probe: impl FnMut() -> Option<T>) -> T {
    until_every(POLL, patience, what, probe)
}

/// [`until_within`] for a probe that is work for whom it asks: it looks less often.
///
/// # Panics
/// When `patience` is over.
pub fn until_every<T>(
    poll: Duration,
    patience: Duration,
    what: &str,
    mut probe: impl FnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + patience;
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(Instant::now() < end, "waited {patience:?} for {what}");
        std::thread::sleep(poll);
    }
}
