//! When a breaker opens, for how long, and how it closes again.

use std::fmt;
use std::time::Duration;

use backoff::Backoff;

use crate::ConfigError;

use super::window::{BUCKETS, Seen};

/// The calls over which the failure rate is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The last N calls, 1 to 10,000. It needs no clock; without traffic, old failures stay.
    Calls(u32),
    /// The calls of the last period, 10 ms to one hour, in ten buckets. Old failures expire; it reads the clock at each
    /// call.
    Time(Duration),
}

const CALLS_MAX: u32 = 10_000;
const TIME_MIN: Duration = Duration::from_millis(10);
const TIME_MAX: Duration = Duration::from_secs(60 * 60);
const OPEN_MIN: Duration = Duration::from_millis(1);
const OPEN_MAX: Duration = Duration::from_secs(24 * 60 * 60);
const JITTER_PERCENT_MAX: u8 = 50;
const PROBES_MAX: u32 = 1000;

/// When a breaker opens, for how long, and how it closes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The calls over which the failure rate is computed.
    pub window: Window,
    /// The fewest calls in the window for the rate to count, since one failed call of one would be 100 %. At least 1,
    /// and not more than the size of a window of calls.
    pub minimum_calls: u32,
    /// The failure rate in the window at which it opens, in percent, 1 to 100.
    pub failure_rate_percent: u8,
    /// It also opens at this many failures in a row, whatever the rate and the minimum of calls: the failure of a
    /// dependency is noticed before its successful past has left the window. `None`: only the rate counts.
    pub consecutive_failures: Option<u32>,
    /// A call that takes at least this long is a failure, whatever its result. `None`: slow calls are left to the
    /// timeout, and the breaker reads no clock for them.
    pub slow_call: Option<Duration>,
    /// How long the first opening lasts, 1 ms to one day. Each further one without a closing in between lasts twice as
    /// long as the previous one.
    pub open: Duration,
    /// The longest duration of an opening, `open` to one day.
    pub open_max: Duration,
    /// An opening is shorter by a random part of up to this much, in percent, 0 to 50, so that callers that saw the
    /// same outage do not all return in the same millisecond.
    pub open_jitter_percent: u8,
    /// The most concurrent probes when half-open, 1 to `successes`.
    pub probes: u32,
    /// Probes that must succeed for it to close, 1 to 1000; one failed probe opens it again.
    pub successes: u32,
}

impl Default for Config {
    /// Half of the last 100 calls, but at least 20; or 10 failures in a row (by chance that happens once in 1024 tries
    /// where half of the calls fail, which is reason enough to open). Open for 5 s, then up to a minute, a fifth of it
    /// jitter; three probes.
    fn default() -> Self {
        Self {
            window: Window::Calls(100),
            minimum_calls: 20,
            failure_rate_percent: 50,
            consecutive_failures: Some(10),
            slow_call: None,
            open: Duration::from_secs(5),
            open_max: Duration::from_secs(60),
            open_jitter_percent: 20,
            probes: 3,
            successes: 3,
        }
    }
}

impl Config {
    /// The defaults of [Resilience4j](https://resilience4j.readme.io/docs/circuitbreaker): half of the last 100 calls
    /// and not before there are 100, open for 60 s, ten probes.
    ///
    /// Two rules differ. There the ten probes are judged by their failure rate; here one failure opens it again, since
    /// the dependency is known to have problems. And slow calls (all above 60 s there) are left to the timeout here.
    #[must_use]
    pub fn resilience4j() -> Self {
        let open = Duration::from_secs(60);
        Self {
            window: Window::Calls(100),
            minimum_calls: 100,
            failure_rate_percent: 50,
            consecutive_failures: None,
            slow_call: None,
            open,
            open_max: open,
            open_jitter_percent: 0,
            probes: 10,
            successes: 10,
        }
    }

    /// The defaults of [opossum](https://nodeshift.dev/opossum/): half of the calls of the last 10 s, even if that is
    /// one call, open for 30 s, one probe. Its timeout (3 s in its examples) is
    /// a layer of its own here, inside of the breaker.
    #[must_use]
    pub fn opossum() -> Self {
        let open = Duration::from_secs(30);
        Self {
            window: Window::Time(Duration::from_secs(10)),
            minimum_calls: 1,
            failure_rate_percent: 50,
            consecutive_failures: None,
            slow_call: None,
            open,
            open_max: open,
            open_jitter_percent: 0,
            probes: 1,
            successes: 1,
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// The first invalid field, with what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self.window {
            Window::Calls(calls) => {
                within("window", calls, 1, CALLS_MAX)?;
                within("minimum_calls", self.minimum_calls, 1, calls)?;
            }
            Window::Time(length) => {
                within("window", length, TIME_MIN, TIME_MAX)?;
                within("minimum_calls", self.minimum_calls, 1, u32::MAX)?;
            }
        }
        within("failure_rate_percent", self.failure_rate_percent, 1, 100)?;
        if let Some(failures) = self.consecutive_failures {
            within("consecutive_failures", failures, 1, u32::MAX)?;
        }
        if self.slow_call == Some(Duration::ZERO) {
            let allowed = "more than 0, or none";
            return Err(ConfigError::new("slow_call", Duration::ZERO, allowed));
        }
        within("open", self.open, OPEN_MIN, OPEN_MAX)?;
        within("open_max", self.open_max, self.open, OPEN_MAX)?;
        let jitter = self.open_jitter_percent;
        within("open_jitter_percent", jitter, 0, JITTER_PERCENT_MAX)?;
        within("successes", self.successes, 1, PROBES_MAX)?;
        within("probes", self.probes, 1, self.successes)
    }

    /// Whether the counts after a failed call are enough to open.
    pub(super) fn is_too_much(&self, seen: Seen) -> bool {
        let in_a_row = self.consecutive_failures;
        if in_a_row.is_some_and(|allowed| seen.in_a_row >= allowed) {
            return true;
        }
        let percent = u64::from(self.failure_rate_percent);
        let is_rate_high = u64::from(seen.failures) * 100 >= u64::from(seen.calls) * percent;
        seen.calls >= self.minimum_calls && is_rate_high
    }

    /// The longest duration of the n-th consecutive opening; `nth` starts at 1.
    pub(super) fn open_at_most(&self, nth: u32) -> Duration {
        let doublings = nth.saturating_sub(1);
        let backoff = Backoff::new(self.open, self.open_max);
        backoff.after(doublings).ceiling()
    }

    /// Its shortest duration, by jitter.
    pub(super) fn open_at_least(&self, nth: u32) -> Duration {
        self.open_at_most(nth) * (100 - u32::from(self.open_jitter_percent)) / 100
    }

    /// The length of a tick of a time-based window, in nanoseconds.
    pub(super) fn tick_ns(&self) -> u64 {
        match self.window {
            Window::Calls(_) => u64::MAX,
            // At most an hour, so it fits.
            Window::Time(length) => (length.as_nanos() / u128::from(BUCKETS)) as u64,
        }
    }
}

fn within<T: PartialOrd + fmt::Debug>(
    field: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<(), ConfigError> {
    if value >= least && value <= most {
        return Ok(());
    }
    let allowed = format!("{least:?} to {most:?}");
    Err(ConfigError::new(field, value, allowed))
}
