//! How long each scenario took, so that it is seen which ones a slow run spends its time on.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How many are printed.
const SHOWN: usize = 12;

static TOOK: Mutex<Vec<(Duration, String)>> = Mutex::new(Vec::new());

/// Plays a scenario and notes how long it took, also when it fails. Waiting for its turn is not in it.
pub(crate) fn of<R>(name: String, scenario: impl FnOnce() -> R) -> R {
    let _clock = Clock(Instant::now(), name);
    scenario()
}

/// Prints the longest ones, the longest first.
#[expect(
    clippy::print_stderr,
    reason = "figures of the run, for whoever reads it"
)]
pub(crate) fn print_longest() {
    let mut took = TOOK.lock();
    took.sort();
    for (took, name) in took.iter().rev().take(SHOWN) {
        eprintln!("{:>6.1} s  {name}", took.as_secs_f32());
    }
}

struct Clock(Instant, String);

impl Drop for Clock {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.1);
        TOOK.lock().push((self.0.elapsed(), name));
    }
}
