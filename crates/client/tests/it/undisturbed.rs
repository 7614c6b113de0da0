//! Times that a busy machine falsifies: what is judged by them is tried again.

use std::cell::Cell;
use std::convert::Infallible;
use std::time::Duration;

use tokio::time::Instant;

/// How often the absence of this thread is looked at.
const TICK: Duration = Duration::from_millis(5);
/// An absence that may falsify what is judged: well below the half second from which on a client forgives its peer.
const AWAY: Duration = Duration::from_millis(200);
/// A machine that is too busy each time shows nothing, and the last outcome counts.
const TRIALS: usize = 20;

/// What comes of a trial during which this thread, the only one of its test, had a processor all the time. A test that
/// waits for times of a few hundred milliseconds cannot tell what it would see of a process that was away for as long.
/// Each trial begins with a client of its own.
pub(crate) async fn undisturbed<T>(trial: impl AsyncFn() -> T) -> T {
    let mut trials = 1;
    loop {
        let absence = Absence::begin();
        let outcome = tokio::select! {
            outcome = trial() => outcome,
            never = absence.watch() => match never {},
        };
        absence.look();
        if absence.longest.get() < AWAY || trials == TRIALS {
            return outcome;
        }
        trials += 1;
    }
}

/// The longest time in which this thread did not come to look.
struct Absence {
    looked: Cell<Instant>,
    longest: Cell<Duration>,
}

impl Absence {
    fn begin() -> Self {
        Self {
            looked: Cell::new(Instant::now()),
            longest: Cell::default(),
        }
    }

    fn look(&self) {
        let now = Instant::now();
        let away = now - self.looked.replace(now);
        self.longest.set(self.longest.get().max(away));
    }

    async fn watch(&self) -> Infallible {
        loop {
            tokio::time::sleep(TICK).await;
            self.look();
        }
    }
}
