//! A client that leaves everything but the connection, the deadline and the trace context to whoever stands between it and
//! the peer, such as a mesh's proxy.
//!
//! Two that retry multiply their attempts, and two that eject hide from each other what they saw. So it is one word for
//! all of it, not a value "off" for each key, of which one is forgotten.

use std::time::Duration;

use resilience::balance::BalanceConfig;
use resilience::circuit_breaker::{self, Window};

use super::{BulkheadSettings, ClientConfig, HealthCheck, PLACES_MAX, WITHIN};

/// The word for it in the line of configuration.
pub(super) const PLAIN: &str = "plain";
/// What such a line can hold.
pub(super) const KEYS: [&str; 4] = [PLAIN, "deadline", "connect", "idle"];

impl ClientConfig {
    /// What is left of it: one attempt that has the whole deadline, and nothing that judges its outcome. The calls under
    /// way are still bounded, by the most that can be configured.
    pub(super) fn plainly(self) -> Self {
        Self {
            attempt: self.deadline,
            retries: 0,
            breaker: None,
            bulkhead: BulkheadSettings {
                max_in_flight: PLACES_MAX,
                adaptive: None,
                max_waiting: 0,
                max_wait: Duration::ZERO,
            },
            health: HealthCheck::Off,
            is_plain: true,
            ..self
        }
    }

    /// How endpoints are chosen. A plain client ejects none: their breakers never see enough calls to judge by.
    pub(crate) fn balance(&self) -> BalanceConfig {
        let defaults = BalanceConfig::default();
        if !self.is_plain {
            return defaults;
        }
        let breaker = circuit_breaker::Config {
            window: Window::Time(*WITHIN.start()),
            minimum_calls: u32::MAX,
            consecutive_failures: None,
            ..defaults.breaker
        };
        BalanceConfig {
            breaker,
            ..defaults
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_client_keeps_its_deadline_and_nothing_that_judges() {
        let parse = ClientConfig::over("deadline=5s,attempt=3s");
        let config = parse("plain").unwrap();
        let deadline = Duration::from_secs(5);
        assert_eq!((config.deadline, config.attempt), (deadline, deadline));
        assert_eq!((config.retries, config.breaker), (0, None));
        assert_eq!(config.bulkhead.max_in_flight, PLACES_MAX);
        assert_eq!(config.health, HealthCheck::Off);
        assert!(config.is_plain);
        let balance = config.balance();
        balance.validate().unwrap();
        assert_eq!(balance.breaker.consecutive_failures, None);
        assert!(!parse("").unwrap().is_plain);
    }

    #[test]
    fn its_deadline_can_be_said_in_any_order() {
        let short = Duration::from_millis(300);
        for line in [
            "plain,deadline=300ms,idle=1s",
            "idle=1s,deadline=300ms,plain",
        ] {
            let config: ClientConfig = line.parse().unwrap();
            assert_eq!((config.attempt, config.connect), (short, short), "{line}");
            assert_eq!(config.idle, Duration::from_secs(1), "{line}");
        }
    }

    #[test]
    fn what_it_leaves_out_cannot_be_said_beside_it() {
        for (text, part) in [
            ("plain,attempt=1s", "; attempt is none of these"),
            ("retries=1,plain", "; retries is none of these"),
            ("plain,breaker=off", "; breaker is none of these"),
            ("plain,bulkhead=8", "; bulkhead is none of these"),
            ("plain,health=grpc", "; health is none of these"),
            ("plain,plain", "plain is there twice"),
            ("plain=yes", "there is no \"plain\""),
        ] {
            let line = text.parse::<ClientConfig>().unwrap_err();
            assert!(line.contains(part), "{text}: {line}");
        }
    }
}
