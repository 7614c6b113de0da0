//! One endpoint and its measurements.

use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use tokio::time::{Duration, Instant};

use crate::circuit_breaker::{Admission, CircuitBreaker, Snapshot, State};
use crate::classify::Outcome;

use super::config::{Tuning, micros};
use super::latency::Latency;
use super::{EndpointSnapshot, EndpointState};

/// The share of its calls that an endpoint gets at the start of its warm-up; Envoy's default, too.
const WARM_SHARE_MIN: f32 = 0.1;

pub(super) struct Endpoint<K, S> {
    /// Unique in this process, and never [`NOBODY`].
    pub(super) id: u64,
    pub(super) key: K,
    pub(super) service: S,
    pub(super) breaker: CircuitBreaker,
    tuning: Tuning,
    /// The latency that is assumed until it was measured.
    unknown_us: f32,
    latency: Latency,
    /// Calls started in total. The pending calls are computed from it and `finished`, which saves one write per call
    /// compared to a separate count.
    started: AtomicU64,
    finished: AtomicU64,
    failures: AtomicU64,
    /// 1 + the millisecond in which its warm-up started; 0 once it is warm.
    warm_since: AtomicU64,
    /// Set by an external health check.
    unhealthy: AtomicBool,
}

/// The id that no endpoint has.
pub(super) const NOBODY: u64 = 0;

static LAST_ID: AtomicU64 = AtomicU64::new(NOBODY);

impl<K, S> Endpoint<K, S> {
    pub(super) fn new(
        key: K,
        service: S,
        breaker: CircuitBreaker,
        tuning: Tuning,
        unknown_us: f32,
    ) -> Self {
        Self {
            id: LAST_ID.fetch_add(1, Relaxed) + 1,
            key,
            service,
            breaker,
            tuning,
            unknown_us,
            latency: Latency::default(),
            started: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            warm_since: AtomicU64::new(0),
            unhealthy: AtomicBool::new(false),
        }
    }

    pub(super) fn pending(&self) -> u64 {
        // In this order every call seen as finished is also seen as started, so that the difference is never negative.
        let finished = self.finished.load(Acquire);
        self.started.load(Relaxed).saturating_sub(finished)
    }

    /// The expected cost of the next call to this endpoint; comparable between endpoints of one balancer.
    pub(super) fn cost(&self, now: Instant) -> f32 {
        let pending = self.pending();
        match self.latency_us(now) {
            Some(us) => us * (pending + 1) as f32,
            // Never measured: the first call goes there to find out; until it ends the endpoint counts as an average
            // one.
            None if pending == 0 => 0.0,
            None => self.unknown_us * (pending + 1) as f32,
        }
    }

    /// The measured latency, or the assumed one.
    pub(super) fn expected_us(&self, now: Instant) -> f32 {
        self.latency_us(now).unwrap_or(self.unknown_us)
    }

    /// The measured latency, `None` before the first measurement.
    pub(super) fn latency_us(&self, now: Instant) -> Option<f32> {
        self.latency
            .faded_us(self.tuning.ms(now), self.tuning.decay_ms)
    }

    pub(super) fn warm_from(&self, now: Instant) {
        if self.tuning.warm_in_ms > 0 {
            self.warm_since.store(self.tuning.ms(now) + 1, Relaxed);
        }
    }

    /// The share of its calls that it should get during its warm-up, below 1; `None` once it is warm.
    pub(super) fn warm_share(&self, now: Instant) -> Option<f32> {
        let since = self.warm_since.load(Relaxed);
        if since == 0 {
            return None;
        }
        let age = (self.tuning.ms(now) + 1).saturating_sub(since);
        if age >= self.tuning.warm_in_ms {
            self.warm_since.store(0, Relaxed);
            return None;
        }
        Some((age as f32 / self.tuning.warm_in_ms as f32).max(WARM_SHARE_MIN))
    }

    /// Sets the mark. Returns whether it has changed.
    pub(super) fn set_healthy(&self, healthy: bool, now: Instant) -> bool {
        let news = self.unhealthy.swap(!healthy, Relaxed) == healthy;
        if news && healthy {
            self.warm_from(now);
        }
        news
    }

    pub(super) fn is_marked_unhealthy(&self) -> bool {
        self.unhealthy.load(Relaxed)
    }

    pub(super) fn begin(&self) {
        self.started.fetch_add(1, Relaxed);
    }

    pub(super) fn end(&self) {
        self.finished.fetch_add(1, Release);
    }

    /// Updates the latency with a call that ends now.
    fn learn(&self, outcome: Outcome, took: Duration, now: Instant) {
        let (us, now_ms, decay_ms) = (micros(took), self.tuning.ms(now), self.tuning.decay_ms);
        match outcome {
            Outcome::Success => self.latency.observe(us, now_ms, decay_ms),
            Outcome::Ignored => self.latency.observe_at_least(us, self.unknown_us, now_ms),
            Outcome::Failure => {
                self.failures.fetch_add(1, Relaxed);
                let before = self.latency.us().unwrap_or(self.unknown_us);
                // Limited, but never below the present value: a failure must not make an endpoint more attractive.
                let penalty = (before * self.tuning.failure_factor).min(self.tuning.penalty_max_us);
                self.latency
                    .observe(us.max(penalty).max(before), now_ms, decay_ms);
            }
        }
    }

    pub(super) fn is_up(&self) -> bool {
        !self.is_marked_unhealthy() && self.is_closed()
    }

    /// Whether its breaker admits calls that are not probes.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.breaker.state(), State::Closed | State::ForcedClosed)
    }

    /// Records the end of a call that began at `since`. `admission` is `None` if the endpoint was used although its
    /// breaker was open, because too many endpoints were.
    pub(super) fn record(&self, admission: Option<Admission>, outcome: Outcome, since: Instant) {
        let now = Instant::now();
        let took = now.saturating_duration_since(since);
        self.learn(outcome, took, now);
        let Some(admission) = admission else { return };
        self.breaker.record(admission, outcome);
        if admission.is_probe() && self.is_closed() {
            // The endpoint is back. Its latency from before the ejection, including penalties, would keep calls away
            // for much longer than the warm-up does.
            self.latency.restart(micros(took), self.tuning.ms(now));
            self.warm_from(now);
        }
    }

    pub(super) fn snapshot(&self, now: Instant, in_rotation: bool) -> EndpointSnapshot<K>
    where
        K: Clone,
    {
        let breaker = self.breaker.snapshot();
        EndpointSnapshot {
            key: self.key.clone(),
            state: self.state(&breaker, now),
            in_rotation,
            pending: self.pending(),
            latency_us: self.latency_us(now).map(|us| us as u64),
            calls: self.started.load(Relaxed),
            failures: self.failures.load(Relaxed),
            breaker,
        }
    }

    fn state(&self, breaker: &Snapshot, now: Instant) -> EndpointState {
        match breaker.state {
            _ if self.is_marked_unhealthy() => EndpointState::Unhealthy,
            State::HalfOpen => EndpointState::Probation,
            State::Open if breaker.open_for == Some(Duration::ZERO) => EndpointState::Probation,
            State::Open | State::ForcedOpen => EndpointState::Ejected,
            State::Closed | State::ForcedClosed => match self.warm_share(now) {
                Some(share) => EndpointState::Warming {
                    percent: (share * 100.0) as u8,
                },
                None => EndpointState::Ready,
            },
        }
    }
}
