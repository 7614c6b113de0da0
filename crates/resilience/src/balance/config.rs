//! The configuration of a balancer.

use std::time::Duration;

use tokio::time::Instant;

use crate::ConfigError;
use crate::circuit_breaker::{self, Window};

/// The most to which a failure raises an endpoint's latency, so that it can come down again.
const PENALTY_MAX: Duration = Duration::from_secs(10);

/// The configuration of a balancer.
#[derive(Debug, Clone, PartialEq)]
pub struct BalanceConfig {
    /// How long a slow answer has an effect: after this time without another one it counts for about a third (1/e). 10
    /// s, as in Finagle and linkerd: long enough to outlast a burst, short enough to notice a recovery.
    pub decay: Duration,
    /// The latency that is assumed for an endpoint while its first call is pending and no other endpoint was measured.
    /// 30 ms, as in linkerd.
    pub default_latency: Duration,
    /// A failed call counts as one that took this many times the endpoint's latency (or its actual time, if longer), up
    /// to 10 s. 4: after one failure the other endpoints are preferred until they have four times as many pending
    /// calls. A factor instead of a time, since a fixed penalty would be noise for slow services or a ban for fast
    /// ones.
    pub failure_factor: u32,
    /// A call that is dropped by its caller after at least this time counts as a failure: a timeout *above* the
    /// balancer looks like that from here. If it is dropped earlier, the caller may simply not need it any more. 1 s;
    /// best slightly below the timeout above.
    pub late: Duration,
    /// A new endpoint, and one that returns, gets its full share of the calls only after this time; until then its
    /// share grows from a tenth, unless the other endpoint is slower by more than that factor. 10 s; zero disables it.
    /// Like Envoy's slow start.
    pub warm_in: Duration,
    /// The largest share of the endpoints that is ejected at once, rounded down, and never all of them. 50 %: the
    /// remaining endpoints have to carry the whole load.
    pub max_ejected_percent: u8,
    /// When an endpoint is ejected, for how long, and how it returns. It is ejected earlier and returns earlier than a
    /// dependency as a whole, since other endpoints can carry its load and a probe is one call of many: after five
    /// failures in a row, as in Envoy, or when half of its last 20 calls failed; for 1 s, about the time of a process
    /// restart, up to 30 s; back after two successful probes, one at a time, since one may be chance.
    pub breaker: circuit_breaker::Config,
}

impl Default for BalanceConfig {
    fn default() -> Self {
        Self {
            decay: Duration::from_secs(10),
            default_latency: Duration::from_millis(30),
            failure_factor: 4,
            late: Duration::from_secs(1),
            warm_in: Duration::from_secs(10),
            max_ejected_percent: 50,
            breaker: circuit_breaker::Config {
                window: Window::Calls(20),
                minimum_calls: 10,
                failure_rate_percent: 50,
                consecutive_failures: Some(5),
                open: Duration::from_secs(1),
                open_max: Duration::from_secs(30),
                probes: 1,
                successes: 2,
                ..circuit_breaker::Config::default()
            },
        }
    }
}

impl BalanceConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first invalid field, its value and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |field, value, allowed: &str| Err(ConfigError::new(field, value, allowed));
        // The moving average measures time in milliseconds.
        if self.decay < Duration::from_millis(1) {
            return refuse("decay", self.decay, "1 ms or more");
        }
        if self.default_latency.is_zero() {
            return refuse("default_latency", self.default_latency, "more than zero");
        }
        if self.late.is_zero() {
            return refuse("late", self.late, "more than zero");
        }
        if !(1..=1000).contains(&self.failure_factor) {
            let value = self.failure_factor;
            return Err(ConfigError::new("failure_factor", value, "1 to 1000"));
        }
        if self.max_ejected_percent > 100 {
            let value = self.max_ejected_percent;
            return Err(ConfigError::new("max_ejected_percent", value, "0 to 100"));
        }
        self.breaker.validate()
    }

    pub(super) fn tuning(&self) -> Tuning {
        Tuning {
            epoch: Instant::now(),
            decay_ms: self.decay.as_secs_f32() * 1e3,
            default_us: micros(self.default_latency),
            failure_factor: self.failure_factor as f32,
            penalty_max_us: micros(PENALTY_MAX),
            warm_in_ms: millis(self.warm_in),
        }
    }
}

/// The configuration in the units of the hot path. Each endpoint has a copy: a reference would cost each call another
/// pointer to follow and another count to update.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tuning {
    epoch: Instant,
    pub(super) decay_ms: f32,
    pub(super) default_us: f32,
    pub(super) failure_factor: f32,
    pub(super) penalty_max_us: f32,
    pub(super) warm_in_ms: u64,
}

impl Tuning {
    /// Milliseconds since the balancer was created.
    pub(super) fn ms(&self, now: Instant) -> u64 {
        millis(now.saturating_duration_since(self.epoch))
    }
}

/// The duration in microseconds; never zero, which stands for "unknown". Seconds are precise to about a microsecond.
pub(super) fn micros(duration: Duration) -> f32 {
    (duration.as_secs_f32() * 1e6).max(1.0)
}

pub(super) fn millis(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_mul(1000)
        .saturating_add(u64::from(duration.subsec_millis()))
}
