//! The lookups of peers' addresses in `/readyz`.

use chassis::Shutdown;
use chassis::health::Health;

use crate::Monitor;
use crate::discovery::Lookups;

/// Reports the state of these peers' lookups in `/readyz` until the shutdown. Peers whose addresses need no lookup are
/// not listed.
///
/// A peer whose lookup fails makes its callers degraded, but never unready. Where DNS lists only ready instances (a
/// headless Kubernetes service), two services that call each other would otherwise wait for each other for ever; and
/// during a DNS outage every caller would be taken out of rotation although it works well with the addresses that it
/// knows.
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
    // The reports end when the set is dropped.
    shutdown.cancelled().await;
}

async fn follow(health: Health, peer: Monitor) {
    let dependency = health.dependency(format!("dns of {}", peer.name()));
    let mut changes = peer.discovery().changes();
    loop {
        let now = changes.borrow_and_update().clone();
        match now.health {
            // Before the first lookup has ended, this too leaves the service ready.
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
        // RFC 6761 reserves this name as never existing, so that no name server is needed.
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
