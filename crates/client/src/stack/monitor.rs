//! The state of a client for people, and what they can force.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use resilience::balance::EndpointState;
use resilience::circuit_breaker::Snapshot;
use serde_json::{Value, json};

use super::Shared;
use crate::discovery::{Discovery, Lookups};

/// A handle on one client, for the admin port. Cheap to clone; it keeps the client alive.
#[derive(Clone)]
pub struct Monitor {
    shared: Arc<Shared>,
}

/// How a breaker can be forced by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// Refuses every call.
    Open,
    /// Lets every call through and counts none.
    Closed,
    /// Closes it and clears its counts.
    Reset,
}

impl Monitor {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The peer's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.shared.peer.name
    }

    /// Forces the breaker of the peer, or of the endpoint at this address (`"127.0.0.1:8081"`).
    ///
    /// # Errors
    /// If there is no such endpoint.
    pub fn force(&self, endpoint: Option<&str>, force: Force) -> Result<(), String> {
        let shared = &*self.shared;
        let breaker = match endpoint {
            None => shared.breaker.clone(),
            Some(address) => address
                .parse()
                .ok()
                .and_then(|address| shared.endpoints.breaker(address))
                .ok_or_else(|| format!("{} has no endpoint {address}", self.name()))?,
        };
        match force {
            Force::Open => breaker.force_open(),
            Force::Closed => breaker.force_closed(),
            Force::Reset => breaker.reset(),
        }
        Ok(())
    }

    /// The discovery of the peer's endpoints, for readiness.
    #[must_use]
    pub fn discovery(&self) -> &Discovery {
        &self.shared.discovery
    }

    /// The complete state as JSON: endpoints, breakers, limits, last errors. Durations in milliseconds.
    #[must_use]
    pub fn snapshot(&self) -> Value {
        let peer = &self.shared.peer;
        json!({
            "peer": peer.name,
            "address": peer.address.to_string(),
            "plain": peer.config.is_plain,
            "deadline_ms": ms(peer.config.deadline),
            "attempt_ms": ms(peer.config.attempt),
            "discovery": self.lookups(),
            "endpoints": self.endpoints(),
            "breaker": show(&self.shared.breaker.snapshot()),
            "bulkhead": self.bulkhead(),
            "retry": self.retry(),
            "last_errors": self.last_errors(),
        })
    }

    fn lookups(&self) -> Value {
        match self.shared.discovery.snapshot().health {
            Lookups::Starting => json!({ "state": "starting" }),
            Lookups::Good => json!({ "state": "good" }),
            Lookups::Failing(why) => json!({ "state": "failing", "reason": why }),
        }
    }

    fn endpoints(&self) -> Value {
        let endpoints = self.shared.endpoints.snapshot().into_iter();
        let shown = endpoints.map(|endpoint| {
            json!({
                "address": endpoint.key.to_string(),
                "state": state(endpoint.state),
                "in_rotation": endpoint.in_rotation,
                "pending": endpoint.pending,
                "latency_ms": endpoint.latency_us.map(|us| us as f64 / 1e3),
                "calls": endpoint.calls,
                "failures": endpoint.failures,
                "breaker": show(&endpoint.breaker),
            })
        });
        shown.collect()
    }

    fn bulkhead(&self) -> Value {
        let now = self.shared.bulkhead.snapshot();
        json!({
            "limit": now.limit,
            "in_flight": now.in_flight,
            "waiting_max": now.max_waiting,
            "waiting": now.waiting,
            "admitted": now.admitted,
            "rejected": { "full": now.full, "waited_too_long": now.waited_too_long },
        })
    }

    fn retry(&self) -> Value {
        let now = self.shared.retries.snapshot();
        json!({
            "attempts_max": self.shared.peer.config.retries + 1,
            "calls": now.calls,
            "attempts": now.attempts,
            "retries": now.retries,
            "saved": now.retried_successes,
            "budget_percent": self.shared.peer.config.budget_percent,
            "budget_available": now.budget_available,
            "not_retried": {
                "attempts": now.attempts_exhausted,
                "budget": now.budget_exhausted,
                "deadline": now.out_of_time,
                "asked_too_long": now.asked_too_long,
            },
        })
    }

    fn last_errors(&self) -> Value {
        let errors = self.shared.last_errors().into_iter();
        let shown = errors.map(|error| {
            let at = DateTime::<Utc>::from(error.at).to_rfc3339_opts(SecondsFormat::Millis, true);
            json!({ "at": at, "error": error.text })
        });
        shown.collect()
    }
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Monitor").field(&self.name()).finish()
    }
}

fn show(now: &Snapshot) -> Value {
    json!({
        "state": now.state.as_str(),
        "open_for_ms": now.open_for.map(ms),
        "window": { "calls": now.calls, "failures": now.failures, "slow": now.slow },
        "consecutive_failures": now.consecutive_failures,
        "opened": now.opened,
        "rejected": now.rejected,
    })
}

/// The name of a state on the admin port.
fn state(state: EndpointState) -> &'static str {
    match state {
        EndpointState::Ready => "ready",
        EndpointState::Warming { .. } => "warming",
        EndpointState::Probation => "probation",
        EndpointState::Ejected => "ejected",
        EndpointState::Unhealthy => "unhealthy",
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
