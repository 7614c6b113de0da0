//! How one peer is called: one struct, one line of configuration.
//!
//! ```text
//! ORDERS_CLIENT="deadline=5s,attempt=2s,retries=2,budget=10%,breaker=50%/20/5s,bulkhead=256+256/500ms"
//! ```
//!
//! One variable for each peer instead of nine: a service with three peers would have about thirty, too many to read,
//! and nothing would show which of them belong together. Every key is optional; a key that is absent keeps its value
//! from [`ClientConfig::default`], or from the defaults that the service chose for that peer.

mod parse;
mod plain;
mod values;

pub use parse::SETTINGS;

use std::ops::RangeInclusive;
use std::time::Duration;

use resilience::bulkhead::{AdaptiveConfig, Limit};
use resilience::circuit_breaker::Window;
use resilience::retry::BudgetConfig;
use resilience::{ConfigError, bulkhead, circuit_breaker};

/// The number of calls over which the breaker computes its failure rate, unless its minimum of calls is higher.
const WINDOW_CALLS: u32 = 100;
/// The upper limit of that minimum.
const MIN_CALLS_MAX: u32 = 10_000;
/// The most calls that a bulkhead can be told to have under way, and to keep waiting.
const PLACES_MAX: usize = 65_536;
/// The allowed length of a time-based breaker window.
const WITHIN: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3600);
/// The allowed duration of a breaker's first opening: what [`circuit_breaker::Config`] takes.
const OPEN_FOR: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(24 * 3600);

/// How one peer is called. All durations are above zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// `deadline=5s`: the time limit of a whole call: waiting, attempts and the pauses between them. For an answer that
    /// is read whole (JSON) it covers the body, for a streamed one, and over gRPC, only the time until it begins. The
    /// caller's own deadline can only shorten it.
    pub deadline: Duration,
    /// `attempt=2s`: the time limit of one attempt. Not above the deadline. Choose it below the deadline, so that there
    /// is time for another attempt, and above the time that the peer itself waits for *its* peers, so that its answer
    /// still arrives.
    pub attempt: Duration,
    /// `connect=500ms`: the time limit for establishing a connection. Not above the attempt.
    pub connect: Duration,
    /// `retries=2`: attempts after the first, 0 to 9. Only calls that are safe to repeat are retried.
    pub retries: u32,
    /// `budget=10%`: the most retries, as a share of all calls, 1 to 100 %. It bounds the extra load that a failing
    /// peer causes.
    pub budget_percent: u32,
    /// `breaker=50%/20/5s` or `breaker=off`: when all calls to the peer are refused. With `breaker=50%@1s/20in10s/5s`
    /// an answer that takes 1 s is a failure, too, and the window is the calls of the last 10 s.
    pub breaker: Option<BreakerSettings>,
    /// `bulkhead=256+256/500ms`: how many calls may be under way, how many may wait, and for how long. With
    /// `bulkhead=8..256@250ms+256/500ms` the first number is adaptive: it falls, down to 8, while answers take longer
    /// than 250 ms.
    pub bulkhead: BulkheadSettings,
    /// `idle=30s`: the longest pause within a streamed answer, and within any answer over gRPC.
    pub idle: Duration,
    /// `health=off`, `health=grpc`, `health=/readyz` or `health=:8091/readyz`: whether endpoints are probed for their
    /// health, in addition to what is observed on calls.
    pub health: HealthCheck,
    /// `plain`: the connection, the deadline and the trace context are ours, everything else is done by whoever stands
    /// between us and the peer, such as a mesh's proxy.
    pub is_plain: bool,
}

/// When the breaker of a peer opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// The failure rate at which it opens, in percent, 1 to 100. Ten failures in a row open it, too.
    pub failure_percent: u32,
    /// An answer that takes at least this long is a failure, whatever its content. Not above the attempt. Set it above
    /// the time of the most expensive call that a caller can ask for; otherwise one caller with expensive calls opens
    /// the breaker for all others.
    pub slow: Option<Duration>,
    /// The fewest calls in the window before the failure rate counts, 1 to 10,000.
    pub min_calls: u32,
    /// The length of a time-based window, 10 ms to 1 h; without it the window is the last 100 calls. For a peer that is
    /// called so rarely that its last 100 calls reach too far back.
    pub within: Option<Duration>,
    /// How long it stays open before the first probe, 1 ms to 24 h; it stays open longer when probes fail again and
    /// again.
    pub open_for: Duration,
}

/// How many calls to a peer may be under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkheadSettings {
    /// The most calls at once; also the most connections to the peer over HTTP/1.1. At least 1.
    pub max_in_flight: usize,
    /// If set, the limit is lowered while the peer is slow.
    pub adaptive: Option<AdaptiveSettings>,
    /// How many calls may wait for a place.
    pub max_waiting: usize,
    /// The longest time to wait for a place. Below the deadline.
    pub max_wait: Duration,
}

/// How the limit of calls under way adapts to the peer's latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdaptiveSettings {
    /// The limit never falls below this; 1 to `max_in_flight`.
    pub min: usize,
    /// An answer that takes longer is a sign of overload. About twice the usual 99th percentile is a good value. Not
    /// above the deadline.
    pub late: Duration,
}

/// Whether and how endpoints are probed for their health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthCheck {
    /// No probes: an endpoint is judged by its calls alone.
    Off,
    /// `grpc.health.v1.Health/Check` at the endpoint itself.
    Grpc,
    /// `GET path`; 2xx is healthy.
    Http {
        /// The port on the endpoint's host, if it is not the endpoint's own.
        port: Option<u16>,
        /// For example `/readyz`.
        path: String,
    },
}

impl Default for ClientConfig {
    /// For a call from one service to another that normally answers within milliseconds. The breaker's 50 % are the
    /// default of Resilience4j and opossum. Its 5 s are a sixth of theirs: a probe costs one call, and after a peer has
    /// recovered, 30 s of refused calls would be an outage that the breaker itself causes.
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(5),
            attempt: Duration::from_secs(2),
            connect: Duration::from_millis(500),
            retries: 2,
            budget_percent: 10,
            breaker: Some(BreakerSettings {
                failure_percent: 50,
                slow: None,
                min_calls: 20,
                within: None,
                open_for: Duration::from_secs(5),
            }),
            bulkhead: BulkheadSettings {
                max_in_flight: 256,
                adaptive: None,
                max_waiting: 256,
                max_wait: Duration::from_millis(500),
            },
            idle: Duration::from_secs(30),
            health: HealthCheck::Off,
            is_plain: false,
        }
    }
}

impl ClientConfig {
    /// Checks that each value is within its limits and that inner time limits do not exceed the outer ones.
    ///
    /// # Errors
    /// Names the first key with an invalid value, that value and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let deadline = self.deadline;
        between("deadline", deadline, Duration::from_secs(3600), "1h")?;
        between("attempt", self.attempt, deadline, "the deadline")?;
        between("connect", self.connect, self.attempt, "the attempt")?;
        between("idle", self.idle, Duration::from_secs(3600), "1h")?;
        if self.retries > 9 {
            return Err(ConfigError::new("retries", self.retries, "0 to 9"));
        }
        if !(1..=100).contains(&self.budget_percent) {
            let allowed = "1% to 100% (retries=0 for none)";
            let held = Percent(self.budget_percent);
            return Err(ConfigError::new("budget", held, allowed));
        }
        if let Some(breaker) = &self.breaker {
            breaker.validate(self.attempt)?;
        }
        self.bulkhead.validate(deadline)
    }
}

/// The configurations of the layers. Settings without a key in the line have one value that suits every peer.
impl ClientConfig {
    /// The retry budget. The time for which a call pays for retries, and the one free retry per second, are those of
    /// [`BudgetConfig`].
    pub(crate) fn budget(&self) -> BudgetConfig {
        BudgetConfig {
            percent: self.budget_percent,
            ..BudgetConfig::default()
        }
    }

    /// Also made for a peer without a breaker, so that the breaker can be inspected and forced on the admin port.
    pub(crate) fn breaker(&self) -> circuit_breaker::Config {
        let defaults = circuit_breaker::Config::default();
        let Some(breaker) = self.breaker else {
            return defaults;
        };
        let last_calls = Window::Calls(WINDOW_CALLS.max(breaker.min_calls));
        circuit_breaker::Config {
            window: breaker.within.map_or(last_calls, Window::Time),
            minimum_calls: breaker.min_calls,
            slow_call: breaker.slow,
            // At most 100, by `validate`.
            failure_rate_percent: breaker.failure_percent.min(100) as u8,
            open: breaker.open_for,
            open_max: defaults.open_max.max(breaker.open_for),
            ..defaults
        }
    }

    pub(crate) fn bulkhead(&self) -> bulkhead::Config {
        let BulkheadSettings {
            max_in_flight: max,
            adaptive,
            max_waiting,
            max_wait,
        } = self.bulkhead;
        let limit = match adaptive {
            None => Limit::Fixed(max),
            Some(AdaptiveSettings { min, late }) => {
                let defaults = AdaptiveConfig::default();
                Limit::Adaptive(AdaptiveConfig {
                    initial: defaults.initial.clamp(min, max),
                    min,
                    max,
                    latency_target: late,
                    ..defaults
                })
            }
        };
        bulkhead::Config {
            max_in_flight: limit,
            max_waiting,
            max_wait,
        }
    }
}

impl BreakerSettings {
    fn validate(&self, attempt: Duration) -> Result<(), ConfigError> {
        if !(1..=100).contains(&self.failure_percent) {
            let held = Percent(self.failure_percent);
            let allowed = "1% to 100% (breaker=off for none)";
            return Err(ConfigError::new(
                "breaker's share of failures",
                held,
                allowed,
            ));
        }
        if !(1..=MIN_CALLS_MAX).contains(&self.min_calls) {
            let held = self.min_calls;
            let allowed = "1 to 10000";
            return Err(ConfigError::new(
                "breaker's minimum of calls",
                held,
                allowed,
            ));
        }
        if let Some(slow) = self.slow {
            between("breaker's slow answer", slow, attempt, "the attempt")?;
        }
        if let Some(within) = self.within
            && !WITHIN.contains(&within)
        {
            let allowed = "10ms to 1h";
            return Err(ConfigError::new("breaker's time of calls", within, allowed));
        }
        if !OPEN_FOR.contains(&self.open_for) {
            let held = self.open_for;
            let allowed = "1ms to 24h";
            return Err(ConfigError::new(
                "breaker's time to stay open",
                held,
                allowed,
            ));
        }
        Ok(())
    }
}

impl BulkheadSettings {
    fn validate(&self, deadline: Duration) -> Result<(), ConfigError> {
        let allowed = "1 to 65536";
        if !(1..=PLACES_MAX).contains(&self.max_in_flight) {
            let held = self.max_in_flight;
            return Err(ConfigError::new(
                "bulkhead's number of calls",
                held,
                allowed,
            ));
        }
        if let Some(AdaptiveSettings { min, late }) = self.adaptive {
            if !(1..=self.max_in_flight).contains(&min) {
                let allowed = format_args!("1 to its most, {}", self.max_in_flight);
                return Err(ConfigError::new("bulkhead's least number", min, allowed));
            }
            between("bulkhead's late answer", late, deadline, "the deadline")?;
        }
        if self.max_waiting > PLACES_MAX {
            let held = self.max_waiting;
            let allowed = "0 to 65536";
            return Err(ConfigError::new(
                "bulkhead's number of waiting calls",
                held,
                allowed,
            ));
        }
        if self.max_waiting == 0 {
            return Ok(());
        }
        between(
            "bulkhead's time to wait",
            self.max_wait,
            deadline,
            "the deadline",
        )
    }
}

fn between(
    key: &'static str,
    held: Duration,
    max: Duration,
    name_of_max: &str,
) -> Result<(), ConfigError> {
    if !held.is_zero() && held <= max {
        return Ok(());
    }
    let allowed = format_args!("above 0 and at most {name_of_max}, {max:?}");
    Err(ConfigError::new(key, held, allowed))
}

/// A percentage, printed in the form in which it is configured.
struct Percent(u32);

impl std::fmt::Debug for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}%", self.0)
    }
}
