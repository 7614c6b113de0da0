//! What arrives, how often, and what follows from a failure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use messaging::{Destination, Message};
use parking_lot::Mutex;

use super::Engine;
use crate::support::{Recorder, body, eventually, permanent, transient};

/// Values of one name keep their order. Of different names only streams keep it: AMQP has a table.
fn by_name(mut message: Message) -> Message {
    message.headers.sort_by(|(a, _), (b, _)| a.cmp(b));
    message
}

pub(crate) async fn a_message_arrives_as_it_was<E: Engine>() {
    let engine = E::start().await;
    let handler = Recorder::new();
    let running = engine.subscribe("one", handler.clone()).await;
    let sent = Message::new(vec![0, 159, 146, 150, 255])
        .with_key("käy")
        .with_header("ce_id", "1")
        .with_header("twice", "a")
        .with_header("empty", "")
        .with_header("twice", "b");
    engine.publish(sent.clone()).await;
    let got = handler.wait_done(1).await.remove(0);
    assert_eq!(by_name(got.message.clone()), by_name(sent));
    assert_eq!(got.attempt, 1);
    assert_eq!(got.header("twice"), Some("a"));
    running.stop().await;
}

pub(crate) async fn each_subscriber_gets_each_message<E: Engine>() {
    let engine = E::start().await;
    let (one, two) = (Recorder::new(), Recorder::new());
    let first = engine.subscribe("one", one.clone()).await;
    let second = engine.subscribe("two", two.clone()).await;
    engine.publish_bodies(&["a", "b", "c"]).await;
    for handler in [&one, &two] {
        handler.wait_done(3).await;
        let mut bodies = handler.done_bodies();
        bodies.sort();
        assert_eq!(bodies, ["a", "b", "c"]);
    }
    first.stop().await;
    second.stop().await;
}

pub(crate) async fn a_transient_failure_is_tried_again<E: Engine>() {
    let engine = E::start().await;
    let handler = Recorder::with(|delivery| async move {
        if body(&delivery) == "flaky" && delivery.attempt < 4 {
            Err(transient("not yet"))
        } else {
            Ok(())
        }
    });
    let running = engine.subscribe("one", handler.clone()).await;
    engine.publish_bodies(&["before", "flaky", "after"]).await;
    handler.wait_done(3).await;
    let attempts: Vec<_> = handler
        .seen()
        .iter()
        .filter(|d| body(d) == "flaky")
        .map(|d| d.attempt)
        .collect();
    assert_eq!(attempts, [1, 2, 3, 4]);
    running.stop().await;
}

pub(crate) async fn a_permanent_failure_is_not_tried_again_and_its_neighbours_go_on<E: Engine>() {
    let engine = E::start().await;
    let handler = Recorder::with(|delivery| async move {
        if body(&delivery) == "poison" {
            Err(permanent("unreadable"))
        } else {
            Ok(())
        }
    });
    let running = engine.subscribe("one", handler.clone()).await;
    engine.publish_bodies(&["before", "poison", "after"]).await;
    handler.wait_done(2).await;
    eventually("the poison was seen", async || {
        handler.seen().iter().any(|d| body(d) == "poison")
    })
    .await;
    engine.publish_bodies(&["later"]).await;
    handler.wait_done(3).await;
    assert_eq!(
        handler
            .seen()
            .iter()
            .filter(|d| body(d) == "poison")
            .count(),
        1
    );
    running.stop().await;
}

pub(crate) async fn a_panic_does_not_end_the_consumer_and_its_neighbours_go_on<E: Engine>() {
    let engine = E::start().await;
    let handler = Recorder::with(|delivery| async move {
        assert!(body(&delivery) != "bug", "a bug in the handler");
        Ok(())
    });
    let running = engine.subscribe("one", handler.clone()).await;
    engine.publish_bodies(&["before", "bug", "after"]).await;
    handler.wait_done(2).await;
    let panics = || handler.seen().iter().filter(|d| body(d) == "bug").count();
    eventually("the bug was given up", async || {
        panics() == messaging::MAX_PANICS as usize
    })
    .await;
    engine.publish_bodies(&["later"]).await;
    handler.wait_done(3).await;
    assert_eq!(panics(), messaging::MAX_PANICS as usize);
    assert!(!running.ended());
    running.stop().await;
}

/// At least once, made exactly once where it matters: whoever remembers ids in the place of the effect may be told as often as
/// it gets. Each message is published three times, and the first try of each fails *after* its effect.
pub(crate) async fn a_message_that_comes_three_times_has_one_effect<E: Engine>() {
    const EVENTS: usize = 30;
    let engine = E::start().await;
    let effects: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let (inbox, taken) = (Mutex::new(HashSet::new()), Arc::clone(&effects));
    let handler = Recorder::with(move |delivery| {
        let id = delivery.header("ce_id").unwrap().to_owned();
        if inbox.lock().insert(id.clone()) {
            *taken.lock().entry(id).or_default() += 1;
        }
        let lost = delivery.attempt == 1 && delivery.header("copy") == Some("0");
        async move {
            if lost {
                Err(transient("the answer got lost"))
            } else {
                Ok(())
            }
        }
    });
    let running = engine.subscribe("one", handler.clone()).await;
    for copy in 0..3 {
        for event in 0..EVENTS {
            let message = Message::new("pay").with_key(format!("k{event}"));
            let message = message.with_header("ce_id", event.to_string());
            engine
                .publish(message.with_header("copy", copy.to_string()))
                .await;
        }
    }
    handler.wait_done(3 * EVENTS).await;
    running.stop().await;
    assert!(handler.seen().len() >= 4 * EVENTS, "each came four times");
    let effects = effects.lock();
    assert_eq!(effects.len(), EVENTS);
    assert!(effects.values().all(|times| *times == 1), "{effects:?}");
}

pub(crate) async fn a_destination_of_another_kind_is_rejected<E: Engine>() {
    let engine = E::start().await;
    let wrong = match engine.destination() {
        Destination::Topic(_) => Destination::Queue("q".into()),
        _ => Destination::Topic("t".into()),
    };
    let answer = engine.publisher().publish(&wrong, Message::new("x")).await;
    // In memory any name is a name.
    if E::NATURE.keeps {
        assert!(
            matches!(answer, Err(messaging::PublishError::Rejected(_))),
            "{answer:?}"
        );
    } else {
        assert_eq!(answer, Ok(()));
    }
}
