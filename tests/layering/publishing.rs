//! Nothing is written to a broker inside a request: a service hands its publisher to the outbox's relay, and calls it
//! nowhere. It starts the relay and its consumers as all services do.

use crate::source::Source;

/// The verb of `messaging::Publisher`.
const VERB: &str = "publish";

/// The verb of `messaging::Queue` and of `messaging::kafka`.
const CONSUME: &str = "consume";

/// The calls of a publisher.
pub(crate) fn published(source: &Source) -> Vec<String> {
    called(source, VERB)
}

/// The relays and consumers that are started by hand. `outbox::start_relay`, `messaging::start_stream` and
/// `messaging::start_queue` do it in one way for all services.
pub(crate) fn started_by_hand(source: &Source) -> Vec<String> {
    let relays = source
        .paths
        .iter()
        .filter(|path| **path == ["outbox", "relay"]);
    let relays = relays.map(|path| path.join("::"));
    relays.chain(called(source, CONSUME)).collect()
}

/// The calls of this method, and of functions of this name.
fn called(source: &Source, verb: &str) -> Vec<String> {
    let methods = source.methods.iter().filter(|name| *name == verb).cloned();
    let functions = source
        .paths
        .iter()
        .filter(|path| path.last().is_some_and(|name| name == verb))
        .map(|path| path.join("::"));
    methods.chain(functions).collect()
}

#[test]
fn a_publication_in_a_handler_is_found() {
    let handler = "async fn place(state: State) -> Result<(), Error> {
        // Not publisher.publish(..)
        state.publisher.publish(&topic, message).await?;
        Publisher::publish(&*state.publisher, &topic, message).await?;
        keys.published().publish_ahead()
    }";
    assert_eq!(
        published(&Source::read(handler)),
        ["publish", "Publisher::publish"]
    );
    let wiring = "outbox::start_relay(base, &pool, &outbox, publisher, options, status)";
    assert!(published(&Source::read(wiring)).is_empty());
}

#[test]
fn a_relay_and_a_consumer_that_are_started_by_hand_are_found() {
    let by_hand = "async fn run(base: &mut Base, config: &Config) -> Result<(), Fatal> {
        let options = config.outbox.relay(trace::publish_span);
        base.tasks.spawn(NAME, outbox::relay(pool, outbox, publisher, options, status, stop));
        kafka::consume(&stream, options, facts, status, stop).await?;
        queue.consume(NAME, options, jobs, status, stop).await
    }";
    assert_eq!(
        started_by_hand(&Source::read(by_hand)),
        ["outbox::relay", "consume", "kafka::consume"]
    );
    let started = "start_stream(base, NAME, stream, options, facts, status);
        outbox::start_relay(base, &pool, &outbox, publisher, config.outbox.relay(span), status)";
    assert!(started_by_hand(&Source::read(started)).is_empty());
}
