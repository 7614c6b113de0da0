//! What people want to see of a balancer.

use crate::circuit_breaker::Snapshot;

/// One endpoint, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSnapshot<K> {
    /// Its key.
    pub key: K,
    /// What is known of its health.
    pub state: EndpointState,
    /// Whether calls go there. They may although its state is bad: when too many are, some or all are asked anyway.
    pub in_rotation: bool,
    /// Calls pending.
    pub pending: u64,
    /// The moving average of its latency in microseconds, penalties for failures included; `None` before the
    /// first call ended. It fades while no call ends.
    pub latency_us: Option<u64>,
    /// Calls begun, ever.
    pub calls: u64,
    /// Calls failed, ever.
    pub failures: u64,
    /// Its breaker. What it rejected is zero: it is asked before a call is given to its endpoint.
    pub breaker: Snapshot,
}

/// What is known of an endpoint's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointState {
    /// It gets its share.
    Ready,
    /// It is new or back, and gets this share of its calls.
    Warming {
        /// 10 to 99.
        percent: u8,
    },
    /// It was left out, and the next calls probe it: its breaker is half-open, or about to be.
    Probation,
    /// It failed too often and is left out: its breaker is open.
    Ejected,
    /// Marked so from outside.
    Unhealthy,
}
