//! The endpoints of a peer, whatever they are made of.

use std::net::SocketAddr;

use resilience::balance::{EndpointSnapshot, Endpoints};
use resilience::circuit_breaker::CircuitBreaker;

/// The balancer's endpoints, for those who need not know what an endpoint is.
pub(super) trait EndpointSet: Send + Sync {
    /// These are the endpoints from now on.
    fn update(&self, addresses: &[SocketAddr]);
    /// Whether there are none.
    fn is_empty(&self) -> bool;
    /// Marks one as seen from outside.
    fn set_healthy(&self, address: SocketAddr, is_healthy: bool);
    /// Each one as it is now.
    fn snapshot(&self) -> Vec<EndpointSnapshot<SocketAddr>>;
    /// The breaker of one of them.
    fn breaker(&self, address: SocketAddr) -> Option<CircuitBreaker>;
}

/// The balancer's endpoints and what makes new ones.
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
        // One that went meanwhile needs no mark.
        let _ = self.endpoints.set_healthy(&address, is_healthy);
    }

    fn snapshot(&self) -> Vec<EndpointSnapshot<SocketAddr>> {
        self.endpoints.snapshot()
    }

    fn breaker(&self, address: SocketAddr) -> Option<CircuitBreaker> {
        self.endpoints.breaker(&address)
    }
}
