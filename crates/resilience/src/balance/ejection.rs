//! Ejection of an endpoint after failures in a row.

use std::time::Duration;

use tokio::time::Instant;

use crate::ConfigError;
use crate::classify::Outcome;

use super::config::millis;
use super::probation::{Admitted, Now, Probation, Rules};
use super::{Health, Standing};

/// When an endpoint is left out, for how long, and how it comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EjectionConfig {
    /// This many failures in a row put it out. 5, as in Envoy. In a row, not a rate: an endpoint sees a share of the
    /// calls, so that a rate needs long to mean something; for a rate, take a circuit breaker as [`Health`].
    pub failures: u8,
    /// How long it is out the first time; twice as long each time that its probe fails. 1 s, as in linkerd: about
    /// what a process needs to start again.
    pub base: Duration,
    /// The longest time out. 30 s: what is back is noticed within this.
    pub max: Duration,
    /// This many probes in a row, one at a time, must succeed before it is back. 2: one may be luck.
    pub probes: u8,
}

impl Default for EjectionConfig {
    fn default() -> Self {
        Self {
            failures: 5,
            base: Duration::from_secs(1),
            max: Duration::from_secs(30),
            probes: 2,
        }
    }
}

impl EjectionConfig {
    /// Refuses what cannot work.
    ///
    /// # Errors
    /// Names the field, what it holds and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.failures == 0 {
            return Err(ConfigError::new("failures", self.failures, "1 to 255"));
        }
        if self.probes == 0 {
            return Err(ConfigError::new("probes", self.probes, "1 to 255"));
        }
        if self.base < Duration::from_millis(1) {
            return Err(ConfigError::new("base", self.base, "1 ms or more"));
        }
        if self.max < self.base {
            let allowed = format!("{:?} (base) or more", self.base);
            return Err(ConfigError::new("max", self.max, allowed));
        }
        Ok(())
    }

    /// A judge for each endpoint, as [`Balance::with_health`](super::Balance::with_health) wants it.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn build<K>(self) -> Result<impl Fn(&K) -> Ejection + Send + Sync + 'static, ConfigError> {
        self.validate()?;
        Ok(move |_: &K| Ejection::new(&self))
    }
}

/// Puts an endpoint out after a number of failures in a row, for a time that doubles, and lets it back after probes.
///
/// The times have no jitter: what arrives at a returning endpoint from all of its callers at the same moment is one
/// probe from each, not their load.
#[derive(Debug)]
pub struct Ejection {
    epoch: Instant,
    probation: Probation,
}

/// The right to make one call.
#[derive(Debug)]
pub struct EjectionPermit(Admitted);

impl Ejection {
    fn new(config: &EjectionConfig) -> Self {
        Self {
            epoch: Instant::now(),
            probation: Probation::new(Rules {
                failures: config.failures,
                base_ms: millis(config.base),
                max_ms: millis(config.max),
                probes: config.probes,
            }),
        }
    }

    fn ms(&self, now: Instant) -> u64 {
        millis(now.saturating_duration_since(self.epoch))
    }
}

impl Health for Ejection {
    type Permit = EjectionPermit;

    fn standing(&self, now: Instant) -> Standing {
        match self.probation.now(self.ms(now)) {
            Now::Up => Standing::Up,
            Now::Probation => Standing::Probation,
            Now::OutUntil(ms) => Standing::Down {
                until: self.epoch + Duration::from_millis(ms),
            },
        }
    }

    fn admit(&self, now: Instant) -> Option<EjectionPermit> {
        self.probation.admit(self.ms(now)).map(EjectionPermit)
    }

    fn record(&self, EjectionPermit(admitted): EjectionPermit, outcome: Outcome, now: Instant) {
        match outcome {
            Outcome::Success => self.probation.succeeded(admitted),
            Outcome::Failure => self.probation.failed(admitted, self.ms(now)),
            Outcome::Ignored => self.probation.given_up(admitted),
        }
    }
}
