//! One breaker for each endpoint, as the balancer's judge of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use resilience::balance::{Health, Standing};
use resilience::circuit_breaker::{CircuitBreaker, Config, Permit, State, Window};
use resilience::classify::Outcome;
use tokio::time::Instant;

/// What the balancer is told of a breaker that somebody holds open.
const FORCED: Duration = Duration::from_secs(3600);

/// An endpoint's breaker: sooner out and sooner back than the peer's, since there are others to carry its load and
/// its probe is one call of many. Out after five failures in a row, as in Envoy, or half of its last 20 calls; for
/// 1 s, about what a process needs to start again, and up to 30 s; back after two probes, since one may be luck.
fn config() -> Config {
    Config {
        window: Window::Calls(20),
        minimum_calls: 10,
        failure_rate_percent: 50,
        consecutive_failures: Some(5),
        open: Duration::from_secs(1),
        open_max: Duration::from_secs(30),
        probes: 1,
        successes: 2,
        ..Config::default()
    }
}

/// The breakers of a peer's endpoints, to be looked at and set by hand.
#[derive(Debug, Clone, Default)]
pub(super) struct EndpointBreakers(Arc<Mutex<HashMap<SocketAddr, CircuitBreaker>>>);

impl EndpointBreakers {
    /// The breaker of a new endpoint.
    pub(super) fn make(&self, peer: &str, endpoint: SocketAddr) -> EndpointBreaker {
        let name = format!("{peer} at {endpoint}");
        let breaker = CircuitBreaker::new(name, config()).expect("the figures above can work");
        self.all().insert(endpoint, breaker.clone());
        EndpointBreaker(breaker)
    }

    pub(super) fn of(&self, endpoint: SocketAddr) -> Option<CircuitBreaker> {
        self.all().get(&endpoint).cloned()
    }

    /// Forgets those of endpoints that are gone.
    pub(super) fn keep_only(&self, endpoints: &[SocketAddr]) {
        self.all()
            .retain(|endpoint, _| endpoints.contains(endpoint));
    }

    fn all(&self) -> MutexGuard<'_, HashMap<SocketAddr, CircuitBreaker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An endpoint's breaker as the balancer's judge. The balancer's own ejection after failures in a row would do; this
/// one can also be looked at and set by hand like the peer's, and opens at a share of failures, too.
#[derive(Debug, Clone)]
pub(crate) struct EndpointBreaker(CircuitBreaker);

impl Health for EndpointBreaker {
    type Permit = Permit<CircuitBreaker>;

    const LOGS: bool = true;

    fn standing(&self, now: Instant) -> Standing {
        match self.0.state() {
            State::Closed | State::ForcedClosed => Standing::Up,
            State::HalfOpen => Standing::Probation,
            // Its time is up, and the next call is its probe.
            State::Open if self.0.is_available() => Standing::Probation,
            State::Open => Standing::Down {
                until: now + self.0.snapshot().open_for.unwrap_or_default(),
            },
            State::ForcedOpen => Standing::Down {
                until: now + FORCED,
            },
        }
    }

    fn admit(&self, _: Instant) -> Option<Self::Permit> {
        self.0.acquire_owned().ok()
    }

    fn record(&self, permit: Self::Permit, outcome: Outcome, _: Instant) {
        permit.record(outcome);
    }
}
