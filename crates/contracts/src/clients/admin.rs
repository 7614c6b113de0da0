//! The clients of a service on its admin port.

use chassis::admin::{BreakerState, Clients};
use client::{Force, Monitor};

/// Shows each peer in `clients` (`GET /clients`), and lets its breakers be set by hand there.
pub fn list_peers(clients: &Clients, peers: &[Monitor]) {
    for peer in peers {
        let (shown, forced) = (peer.clone(), peer.clone());
        clients.add(
            peer.name(),
            move || shown.snapshot(),
            move |command| forced.force(command.endpoint.as_deref(), force(command.state)),
        );
    }
}

fn force(state: BreakerState) -> Force {
    match state {
        BreakerState::Open => Force::Open,
        BreakerState::Closed => Force::Closed,
        BreakerState::Reset => Force::Reset,
    }
}
