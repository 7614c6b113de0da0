//! What an issuer that is away means for the readiness of who checks its tokens.

use std::sync::atomic::Ordering;
use std::time::Duration;

use chassis::Shutdown;
use chassis::auth;
use chassis::health::{Health, State};

use super::verifier;
use crate::support::issuer::Key;

#[tokio::test(start_paused = true)]
async fn who_has_keys_stays_ready_while_they_cannot_be_refreshed() {
    let key = Key::new("a", 1);
    let (verifier, source) = verifier(&key);
    let health = Health::new("test");
    health.ready();
    let dependency = health.dependency("keys");
    let shutdown = Shutdown::manual();
    let keeping = verifier
        .clone()
        .keep_fresh(dependency.clone(), shutdown.clone());
    let fresh = tokio::spawn(keeping);
    // The clock stands still meanwhile.
    while dependency.state() != State::Up {
        tokio::task::yield_now().await;
    }
    source.down.store(true, Ordering::SeqCst);
    tokio::time::sleep(auth::REFRESH + Duration::from_secs(1)).await;
    assert!(source.fetches() > 1);
    assert_eq!(dependency.state(), State::Degraded);
    assert!(health.is_ready());
    assert!(verifier.verify(&key.token()).await.is_ok());
    source.down.store(false, Ordering::SeqCst);
    // Longer than the longest pause between two attempts.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(dependency.state(), State::Up);
    shutdown.trigger();
    fresh.await.unwrap();
}
