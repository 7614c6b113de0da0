//! How one peer is called: one struct, one line of configuration.
//!
//! ```text
//! ORDERS_CLIENT="deadline=5s,attempt=2s,retries=2,budget=10%,breaker=50%/20/5s,bulkhead=256+256/500ms"
//! ```
//!
//! One variable for each peer instead of nine: a service with three peers would have thirty, of which nobody would
//! read one, and which of them belong together would be in nobody's sight. Every key is optional; what is not
//! said stays as it was ([`ClientConfig::default`], or what the service chose for that peer).

mod parse;

pub use parse::SETTINGS;

use std::ops::RangeInclusive;
use std::time::Duration;

use resilience::bulkhead::{AdaptiveConfig, Limit};
use resilience::circuit_breaker::Window;
use resilience::retry::BudgetConfig;
use resilience::{ConfigError, bulkhead, circuit_breaker};

/// The calls that the breaker's share of failures is of, unless its minimum of calls is more.
const WINDOW_CALLS: u32 = 100;
/// The most that this minimum can be.
const MIN_CALLS_MAX: u32 = 10_000;
/// How far back a breaker can look.
const WITHIN: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3600);

/// How one peer is called. All durations are above zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// `deadline=5s`: how long a whole call may take: waiting, attempts and pauses between them. An answer that
    /// is read whole (JSON) counts to its end, one that is streamed until it begins. The caller's own deadline
    /// can only shorten it.
    pub deadline: Duration,
    /// `attempt=2s`: how long one attempt may take. Not above the deadline; below it, so that there is time for
    /// another one; above what the peer itself waits for *its* peers, so that its answer is heard.
    pub attempt: Duration,
    /// `connect=500ms`: how long a connection may take to come about. Not above the attempt.
    pub connect: Duration,
    /// `retries=2`: attempts after the first, 0 to 9. Only of what is safe to repeat.
    pub retries: u32,
    /// `budget=10%`: how many retries there may be, as a share of all calls, 1 to 100 %. What a dead peer costs.
    pub budget_percent: u32,
    /// `breaker=50%/20/5s` or `breaker=off`: when the peer as a whole is not asked any more. With
    /// `breaker=50%@1s/20in10s/5s` an answer that takes 1 s is a failure, too, and the calls of the last 10 s count.
    pub breaker: Option<BreakerSettings>,
    /// `bulkhead=256+256/500ms`: how many calls may be under way, and how many may wait for how long. With
    /// `bulkhead=8..256@250ms+256/500ms` that many moves, down to 8 while answers take longer than 250 ms.
    pub bulkhead: BulkheadSettings,
    /// `idle=30s`: how long a streamed answer may pause.
    pub idle: Duration,
    /// `health=off`, `health=grpc`, `health=/readyz` or `health=:8091/readyz`: whether endpoints are asked for their
    /// health, besides what calls tell of it.
    pub health: HealthCheck,
}

/// When the breaker of a peer opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// At this share of failures, in percent, 1 to 100. Ten failures in a row open it, too.
    pub failure_percent: u32,
    /// An answer that takes at least so long is a failure, whatever it brings. Not above the attempt; and above whatever
    /// a caller can ask for, or whoever asks for much takes the peer from all others.
    pub slow: Option<Duration>,
    /// Not before there are so many calls, 1 to 10,000.
    pub min_calls: u32,
    /// Of the calls of the last so long, 10 ms to 1 h, instead of the last 100: for a peer that is called so rarely that 100
    /// calls are old news.
    pub within: Option<Duration>,
    /// How long it stays open before it is tried again, the first time.
    pub open_for: Duration,
}

/// How many calls to a peer may be under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkheadSettings {
    /// At once; also the most connections to the peer over HTTP/1.1. At least 1.
    pub max_in_flight: usize,
    /// Whether it is fewer while the peer is slow.
    pub adaptive: Option<AdaptiveSettings>,
    /// Waiting for a place.
    pub max_waiting: usize,
    /// For how long. Below the deadline.
    pub max_wait: Duration,
}

/// How the number of calls under way follows the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdaptiveSettings {
    /// It never falls below this; 1 to the most.
    pub min: usize,
    /// An answer that takes longer is a sign of overload: about twice the usual 99th percentile. Not above the
    /// deadline.
    pub late: Duration,
}

/// Whether and how endpoints are asked for their health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthCheck {
    /// Not at all: the calls tell.
    Off,
    /// `grpc.health.v1.Health/Check` at the endpoint itself.
    Grpc,
    /// `GET path`; 2xx is healthy.
    Http {
        /// At this port of the endpoint's host, if it is not the endpoint's own.
        port: Option<u16>,
        /// For example `/readyz`.
        path: String,
    },
}

impl Default for ClientConfig {
    /// For a call from one service to another that answers within milliseconds when it is well. The breaker's
    /// 50 % are those of Resilience4j and opossum. Its 5 s are a sixth of theirs: a probe costs one call, and the
    /// 30 s after a peer is back are an outage of the breaker's own making.
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
        }
    }
}

impl ClientConfig {
    /// Whether it can work, and whether what is inside is shorter than what is around it.
    ///
    /// # Errors
    /// Names the first key that cannot be, what it holds and what is allowed.
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

/// What the layers are made from. Whatever is not in a line of configuration has one good value for every peer.
impl ClientConfig {
    /// For how long a call pays for retries, and one retry a second is free: see [`BudgetConfig`].
    pub(crate) fn budget(&self) -> BudgetConfig {
        BudgetConfig {
            percent: self.budget_percent,
            ..BudgetConfig::default()
        }
    }

    /// Of a peer without a breaker, too: it is there to be looked at and to be forced.
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
        let day = Duration::from_secs(24 * 3600);
        between("breaker's time to stay open", self.open_for, day, "24h")
    }
}

impl BulkheadSettings {
    fn validate(&self, deadline: Duration) -> Result<(), ConfigError> {
        const PLACES_MAX: usize = 65_536;
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

/// Shown as it is written.
struct Percent(u32);

impl std::fmt::Debug for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}%", self.0)
    }
}
