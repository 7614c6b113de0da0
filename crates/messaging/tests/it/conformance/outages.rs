//! Brokers that are away, and brokers that are killed.

use std::time::Duration;

use messaging::{Message, PublishError};

use super::{Engine, Terms};
use crate::support::{Recorder, Watched, body};

/// How long an outage lasts in `.ci/long`; elsewhere until it was noticed.
const LONG: Duration = Duration::from_secs(30);

/// What a publisher was told is stored is there after the broker was killed. Where it is not, everything is gone and the
/// broker works all the same.
pub(crate) async fn published_means_stored<E: Engine>() {
    let mut engine = E::start_own().await;
    engine.introduce("one").await;
    let bodies: Vec<_> = (0..50).map(|n| n.to_string()).collect();
    let bodies: Vec<_> = bodies.iter().map(String::as_str).collect();
    engine.publish_bodies(&bodies).await;
    engine.kill_and_restart().await;
    // It may take a while until it answers again.
    publish_until_taken(&engine, "after the kill").await;
    let all = [&bodies[..], &["after the kill"]].concat();
    let kept = E::NATURE.stores;
    if kept {
        engine.assert_left("one", true, &all).await;
    } else if E::NATURE.keeps {
        engine.assert_left("one", true, &["after the kill"]).await;
    } else {
        engine.assert_left("one", false, &[]).await;
    }
}

/// Away while consumers run, and away when one starts: both report it, wait, and go on.
pub(crate) async fn a_broker_that_is_away_is_waited_for<E: Engine>() {
    let engine = E::start_own().await;
    let (handler, watched) = (Recorder::new(), Watched::new());
    let start = async || {
        let (handler, status) = (handler.clone(), watched.status());
        engine
            .subscribe_on("one", handler, Terms::default(), status)
            .await
    };
    let running = start().await;
    engine.publish_bodies(&["before"]).await;
    handler.wait_done(1).await;
    if !E::NATURE.can_be_away {
        // There is nothing that could be: it is this process. So nothing is told either, and what comes next arrives.
        engine.publish_bodies(&["next"]).await;
        arrives(&handler, "next").await;
        assert_eq!(watched.told(), None);
        running.stop().await;
        return;
    }
    watched.up().await;

    engine.take_away().await;
    watched.down().await;
    lasts().await;
    engine.bring_back().await;
    watched.up().await;
    publish_until_taken(&engine, "after").await;
    arrives(&handler, "after").await;
    running.stop().await;

    engine.take_away().await;
    let running = start().await;
    watched.down().await;
    lasts().await;
    engine.bring_back().await;
    watched.up().await;
    publish_until_taken(&engine, "after the start").await;
    arrives(&handler, "after the start").await;
    running.stop().await;
}

async fn lasts() {
    if std::env::var_os("AGORA_LONG").is_some() {
        tokio::time::sleep(LONG).await;
    }
}

/// As an outbox does: again until the broker has it. An error may only say that the broker is away.
async fn publish_until_taken<E: Engine>(engine: &E, text: &'static str) {
    let (publisher, to) = (engine.publisher(), engine.destination());
    let tries = async {
        let message = || Message::new(text).with_key("k");
        while let Err(error) = publisher.publish(&to, message()).await {
            assert!(matches!(error, PublishError::Unavailable(_)), "{error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let patience = Duration::from_secs(60);
    let taken = tokio::time::timeout(patience, tries).await;
    assert!(taken.is_ok(), "`{text}` was not taken within {patience:?}");
}

async fn arrives(handler: &Recorder, text: &str) {
    handler
        .wait(text, |done| done.iter().any(|d| body(d) == text))
        .await;
}
