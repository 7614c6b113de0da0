//! What arrives, how often, and what follows from a failure.

use messaging::{Destination, Message};

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
