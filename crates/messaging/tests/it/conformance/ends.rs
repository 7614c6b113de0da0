//! Consumers that end, and handlers that do not.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use messaging::Status;

use super::{Engine, Terms};
use crate::support::{Gate, Recorder, body, eventually, transient};

pub(crate) async fn a_stop_finishes_the_message_in_hand<E: Engine>() {
    let engine = E::start().await;
    let gate = Gate::closed();
    let finished = Arc::new(AtomicBool::new(false));
    let (waits, done) = (gate.clone(), Arc::clone(&finished));
    let handler = Recorder::with(move |_| {
        let (waits, done) = (waits.clone(), Arc::clone(&done));
        async move {
            waits.pass().await;
            done.store(true, Ordering::SeqCst);
            Ok(())
        }
    });
    // A drain that is over before the looks below would end it rightly.
    let terms = Terms {
        drain: Duration::from_secs(60),
        ..Terms::default()
    };
    let running = engine
        .subscribe_on("one", handler.clone(), terms, Status::ignore())
        .await;
    engine.publish_bodies(&["slow"]).await;
    eventually("the message is in hand", async || {
        !handler.seen().is_empty()
    })
    .await;
    running.begin_stop();
    // Time for a consumer that would not wait to get it wrong.
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(4)).await;
        assert!(!running.ended(), "it ended with a message in hand");
    }
    gate.open();
    running.stop().await;
    assert!(finished.load(Ordering::SeqCst));

    // What was done comes not again.
    engine.assert_left("one", true, &[]).await;
}

pub(crate) async fn what_was_not_done_at_a_stop_comes_again<E: Engine>() {
    let engine = E::start().await;
    let failing = Recorder::with(|_| async { Err(transient("the database is away")) });
    let running = engine.subscribe("one", failing.clone()).await;
    engine.publish_bodies(&["kept"]).await;
    eventually("it failed", async || failing.seen().len() >= 2).await;
    running.stop().await;
    engine.assert_left("one", E::NATURE.keeps, &["kept"]).await;
}

pub(crate) async fn what_a_dead_consumer_had_in_hand_comes_again<E: Engine>() {
    let engine = E::start().await;
    let dying = Recorder::with(|_| async { std::future::pending().await });
    let terms = Terms {
        drain: Duration::from_millis(50),
        lease: Duration::from_millis(600),
        ..Terms::default()
    };
    let running = engine
        .subscribe_on("one", dying.clone(), terms, Status::ignore())
        .await;
    engine.publish_bodies(&["in hand"]).await;
    eventually("it is in hand", async || !dying.seen().is_empty()).await;
    running.die().await;
    engine
        .assert_left("one", E::NATURE.keeps, &["in hand"])
        .await;
}

/// A handler that takes longer than a dead consumer's message would be waited for: it is slow, not dead.
pub(crate) async fn a_slow_handler_keeps_its_message<E: Engine>() {
    let engine = E::start().await;
    // Two thirds of it, which an extension may be late by, are long beside what a busy machine makes it late by.
    let lease = Duration::from_secs(4);
    let handler = Recorder::with(move |delivery| async move {
        if body(&delivery) == "slow" {
            tokio::time::sleep(lease * 5 / 4).await;
        }
        Ok(())
    });
    let terms = Terms {
        lease,
        ..Terms::default()
    };
    let running = engine
        .subscribe_on("one", handler.clone(), terms, Status::ignore())
        .await;
    engine.publish_bodies(&["slow", "next"]).await;
    handler.wait_done(2).await;
    running.stop().await;
    assert_eq!(handler.seen().len(), 2, "it was given out twice");
    engine.assert_left("one", true, &[]).await;
}

pub(crate) async fn a_handler_that_never_ends_does_not_hold_up_a_stop<E: Engine>() {
    let engine = E::start().await;
    let handler = Recorder::with(|_| async { std::future::pending().await });
    let terms = Terms {
        drain: Duration::from_millis(50),
        ..Terms::default()
    };
    let running = engine
        .subscribe_on("one", handler.clone(), terms, Status::ignore())
        .await;
    engine.publish_bodies(&["endless"]).await;
    eventually("it is in hand", async || !handler.seen().is_empty()).await;
    if E::NATURE.stops_in_time {
        running.stop().await;
    } else {
        running.begin_stop();
        // Longer than the drain that it was given.
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(
            !running.ended(),
            "it can end by itself: say so in its nature"
        );
        running.die().await;
    }
    engine
        .assert_left("one", E::NATURE.keeps, &["endless"])
        .await;
}

pub(crate) async fn stops_under_load_lose_nothing<E: Engine>() {
    const MESSAGES: usize = 200;
    let engine = E::start().await;
    engine.introduce("one").await;
    let bodies: Vec<_> = (0..MESSAGES).map(|n| n.to_string()).collect();
    let bodies: Vec<_> = bodies.iter().map(String::as_str).collect();
    engine.publish_bodies(&bodies).await;
    let mut done = HashSet::new();
    for enough in [1, 20, 50] {
        // Work that takes a moment, so that a stop finds some of it in hand and some that nobody began.
        let handler = Recorder::with(|_| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(())
        });
        let running = engine.subscribe("one", handler.clone()).await;
        // Where nothing is kept only what comes now is there to be stopped over.
        if !E::NATURE.keeps {
            engine.publish_bodies(&bodies).await;
        }
        let before = done.len();
        handler
            .wait("some to be done, or all", |now| {
                now.len() >= enough || before + now.len() >= MESSAGES
            })
            .await;
        running.stop().await;
        done.extend(handler.done_bodies());
    }
    let left: Vec<_> = bodies
        .iter()
        .copied()
        .filter(|body| !done.contains(*body))
        .collect();
    engine.assert_left("one", E::NATURE.keeps, &left).await;
}
