//! The metrics of a client, `resilience_*`, labelled with the peer and the service that calls it.
//!
//! They are read from the handles periodically instead of being counted with each call: scrapes are seconds apart, and
//! calls do not pay for them.

use std::sync::Weak;
use std::time::Duration;

use metrics::{counter, gauge};
use resilience::circuit_breaker::State;

use super::Shared;

/// The interval of the export, i.e. the greatest age of a metric.
const PERIOD: Duration = Duration::from_secs(1);

/// Exports until the last client of the peer is dropped.
pub(super) async fn keep(shared: Weak<Shared>) {
    let mut ticks = tokio::time::interval(PERIOD);
    loop {
        ticks.tick().await;
        match shared.upgrade() {
            Some(shared) => export(&shared),
            None => return,
        }
    }
}

fn export(shared: &Shared) {
    let labels = [("service", shared.peer.caller), ("peer", shared.peer.name)];
    retries(shared, &labels);
    bulkhead(shared, &labels);
    breaker(shared, &labels);
    endpoints(shared, &labels);
}

type Labels = [(&'static str, &'static str); 2];

fn retries(shared: &Shared, labels: &Labels) {
    let now = shared.retries.snapshot();
    counter!("resilience_calls_total", labels).absolute(now.calls);
    counter!("resilience_attempts_total", labels).absolute(now.attempts);
    counter!("resilience_retries_total", labels).absolute(now.retries);
    counter!("resilience_retries_refused_total", labels).absolute(now.budget_exhausted);
    gauge!("resilience_retry_budget", labels).set(now.budget_available as f64);
}

fn bulkhead(shared: &Shared, labels: &Labels) {
    let now = shared.bulkhead.snapshot();
    gauge!("resilience_in_flight", labels).set(now.in_flight as f64);
    gauge!("resilience_waiting", labels).set(now.waiting as f64);
    gauge!("resilience_limit", labels).set(now.limit as f64);
    rejected(labels, "bulkhead", now.full + now.waited_too_long);
}

/// The state as Prometheus expects an enum: one series for each state, of which exactly one is 1.
fn breaker(shared: &Shared, labels: &Labels) {
    let now = shared.breaker.snapshot();
    let [service, peer] = *labels;
    for state in [
        State::Closed,
        State::Open,
        State::HalfOpen,
        State::ForcedOpen,
        State::ForcedClosed,
    ] {
        let labels = [service, peer, ("state", state.as_str())];
        let is_it = now.state == state;
        gauge!("resilience_breaker_state", &labels).set(f64::from(u8::from(is_it)));
    }
    counter!("resilience_breaker_opened_total", labels).absolute(now.opened);
    rejected(labels, "breaker", now.rejected);
}

fn endpoints(shared: &Shared, labels: &Labels) {
    let now = shared.endpoints.snapshot();
    let in_rotation = now.iter().filter(|endpoint| endpoint.in_rotation).count();
    gauge!("resilience_endpoints", labels).set(now.len() as f64);
    gauge!("resilience_endpoints_in_rotation", labels).set(in_rotation as f64);
}

fn rejected(&[service, peer]: &Labels, by: &'static str, total: u64) {
    let labels = [service, peer, ("by", by)];
    counter!("resilience_rejected_total", &labels).absolute(total);
}
