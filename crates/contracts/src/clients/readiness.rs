//! What `/readyz` says of a peer whose addresses are looked up.

use chassis::Shutdown;
use chassis::health::Health;
use client::Monitor;
use client::discovery::Lookups;

/// Has `/readyz` say how the lookups of these peers go, until the shutdown. Peers at addresses that need no lookup are
/// not mentioned.
///
/// A peer that cannot be looked up degrades its callers and makes none of them unready. Where DNS lists only what
/// is ready (a headless Kubernetes service) two services that call each other would else wait for each other for
/// ever; and with DNS away, every caller would be taken out of rotation while it works well with what it knows.
pub async fn report_lookups(
    health: Health,
    peers: impl IntoIterator<Item = Monitor>,
    shutdown: Shutdown,
) {
    let mut reports = tokio::task::JoinSet::new();
    for peer in peers {
        if !peer.discovery().is_static() {
            reports.spawn(report(health.clone(), peer));
        }
    }
    // Dropped with the set.
    shutdown.cancelled().await;
}

async fn report(health: Health, peer: Monitor) {
    let dependency = health.dependency(format!("dns of {}", peer.name()));
    let mut changes = peer.discovery().changes();
    loop {
        let now = changes.borrow_and_update().clone();
        match now.health {
            // Until the first lookup is over this, too, keeps nobody from being ready.
            Lookups::Starting => dependency.degraded("not looked up yet"),
            Lookups::Good => dependency.up(),
            Lookups::Failing(why) => {
                let kept = now.endpoints.len();
                dependency.degraded(format!("{why}; {kept} addresses are kept"));
            }
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}
