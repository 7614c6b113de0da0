//! How a service that is built on `chassis` exposes its clients.

mod lookups;

use chassis::Base;
use chassis::admin::{BreakerState, Clients};

use crate::{Force, Monitor};

/// Lists `peers` on the admin port (`GET /clients`), lets their breakers be forced there, and reports the state of
/// their lookups in `/readyz`.
pub fn watch_peers(base: &mut Base, peers: &[Monitor]) {
    for peer in peers {
        list(&base.clients, peer);
    }
    let lookups = lookups::report(base.health.clone(), peers.to_vec(), base.shutdown.clone());
    base.tasks.spawn("lookups", lookups);
}

fn list(clients: &Clients, peer: &Monitor) {
    let (shown, forced) = (peer.clone(), peer.clone());
    clients.add(
        peer.name(),
        move || shown.snapshot(),
        move |command| forced.force(command.endpoint.as_deref(), force(command.state)),
    );
}

fn force(state: BreakerState) -> Force {
    match state {
        BreakerState::Open => Force::Open,
        BreakerState::Closed => Force::Closed,
        BreakerState::Reset => Force::Reset,
    }
}
