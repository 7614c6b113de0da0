//! The endpoints of a peer, independent of their type.

use std::net::SocketAddr;

use resilience::balance::{EndpointSnapshot, Endpoints};
use resilience::circuit_breaker::CircuitBreaker;

/// The balancer's endpoints, for code that does not need the type of an endpoint.
pub(super) trait EndpointSet: Send + Sync {
    /// Replaces the set of endpoints.
    fn update(&self, addresses: &[SocketAddr]);
    /// Whether there are no endpoints.
    fn is_empty(&self) -> bool;
    /// Marks an endpoint with the result of a health check.
    fn set_healthy(&self, address: SocketAddr, is_healthy: bool);
    /// The current state of each endpoint.
    fn snapshot(&self) -> Vec<EndpointSnapshot<SocketAddr>>;
    /// The breaker of an endpoint, `None` if there is no such endpoint.
    fn breaker(&self, address: SocketAddr) -> Option<CircuitBreaker>;
}

/// The balancer's endpoints and the function that creates new ones.
pub(super) struct Made<S, F> {
    endpoints: Endpoints<SocketAddr, S>,
    make: F,
}

impl<S, F> Made<S, F> {
    pub(super) fn new(endpoints: Endpoints<SocketAddr, S>, make: F) -> Self {
        Self { endpoints, make }
    }
}

impl<S, F> EndpointSet for Made<S, F>
where
    S: Send + Sync,
    F: Fn(SocketAddr) -> S + Send + Sync,
{
    fn update(&self, addresses: &[SocketAddr]) {
        let keys = addresses.iter().copied();
        self.endpoints
            .update_with(keys, |address| (self.make)(*address));
    }

    fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    fn set_healthy(&self, address: SocketAddr, is_healthy: bool) {
        // An endpoint that was removed in the meantime needs no mark.
        let _ = self.endpoints.set_healthy(&address, is_healthy);
    }

    fn snapshot(&self) -> Vec<EndpointSnapshot<SocketAddr>> {
        self.endpoints.snapshot()
    }

    fn breaker(&self, address: SocketAddr) -> Option<CircuitBreaker> {
        self.endpoints.breaker(&address)
    }
}
