//! The state of a balancer, for people.

use crate::circuit_breaker::Snapshot;

/// The current state of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSnapshot<K> {
    /// The key.
    pub key: K,
    /// The state of its health.
    pub state: EndpointState,
    /// Whether calls go there. That may be so even in a bad state: if too many endpoints are bad, some or all are used
    /// anyway.
    pub in_rotation: bool,
    /// Calls pending.
    pub pending: u64,
    /// The moving average of its latency in microseconds, including penalties for failures; `None` before the first
    /// call ended. It fades while no calls end.
    pub latency_us: Option<u64>,
    /// Calls started in total.
    pub calls: u64,
    /// Failed calls in total.
    pub failures: u64,
    /// Its breaker. `rejected` is always zero, since the breaker is checked before a call is assigned.
    pub breaker: Snapshot,
}

/// The health of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointState {
    /// It gets its full share of calls.
    Ready,
    /// It is new or has returned, and gets only this share of its calls.
    Warming {
        /// 10 to 99.
        percent: u8,
    },
    /// It was ejected and the next calls probe it: its breaker is half-open, or will be.
    Probation,
    /// It failed too often and is ejected: its breaker is open.
    Ejected,
    /// Marked as unhealthy by a health check.
    Unhealthy,
}
