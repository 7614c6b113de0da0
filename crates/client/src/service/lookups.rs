//! What `/readyz` says of a peer whose addresses are looked up.

use chassis::Shutdown;
use chassis::health::Health;

use crate::Monitor;
use crate::discovery::Lookups;

/// Has `/readyz` say how the lookups of these peers go, until the shutdown. Peers at addresses that need no lookup are
/// not mentioned.
///
/// A peer that cannot be looked up degrades its callers and makes none of them unready. Where DNS lists only what
/// is ready (a headless Kubernetes service) two services that call each other would else wait for each other for
/// ever; and with DNS away, every caller would be taken out of rotation while it works well with what it knows.
pub(super) async fn report(
    health: Health,
    peers: impl IntoIterator<Item = Monitor>,
    shutdown: Shutdown,
) {
    let mut reports = tokio::task::JoinSet::new();
    for peer in peers {
        if !peer.discovery().is_static() {
            reports.spawn(follow(health.clone(), peer));
        }
    }
    // Dropped with the set.
    shutdown.cancelled().await;
}

async fn follow(health: Health, peer: Monitor) {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{Address, HttpPool, Peer};
    use chassis::health::State;

    use super::*;

    #[tokio::test]
    async fn a_peer_that_cannot_be_looked_up_is_told_and_makes_nobody_unready() {
        let monitor = |name, address: &str| {
            let address: Address = address.parse().unwrap();
            HttpPool::new(Peer::new(name, address, "".parse().unwrap())).monitor()
        };
        // A name that never exists, by RFC 6761, and so needs no name server to say so.
        let peers = [
            monitor("lost", "http://peer.invalid:80"),
            monitor("fixed", "http://127.0.0.1:1"),
        ];
        let (health, shutdown) = (Health::new("test"), Shutdown::manual());
        health.ready();
        let reports = tokio::spawn(report(health.clone(), peers, shutdown.clone()));
        let told = async {
            loop {
                let found = health.report().dependencies.into_iter().find(|dependency| {
                    let detail = dependency.detail.as_deref().unwrap_or_default();
                    detail.contains("0 addresses are kept")
                });
                match found {
                    Some(found) => return found,
                    None => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(30), told).await;
        let told = told.unwrap();
        assert_eq!(
            (told.name.as_str(), told.state),
            ("dns of lost", State::Degraded)
        );
        assert!(health.is_ready());
        assert_eq!(
            health.report().dependencies.len(),
            1,
            "an address is no lookup"
        );
        shutdown.trigger();
        reports.await.unwrap();
    }
}
