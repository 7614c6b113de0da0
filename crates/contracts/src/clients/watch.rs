//! What a service shows of those that it calls.

use chassis::Base;
use client::Monitor;

use super::{list_peers, report_lookups};

/// Shows `peers` on the admin port ([`list_peers`]) and has `/readyz` say how their lookups go ([`report_lookups`]).
pub fn watch_peers(base: &mut Base, peers: &[Monitor]) {
    list_peers(&base.clients, peers);
    let lookups = report_lookups(base.health.clone(), peers.to_vec(), base.shutdown.clone());
    base.tasks.spawn("lookups", lookups);
}
