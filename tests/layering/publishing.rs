//! Nothing is written to a broker inside a request: a service hands its publisher to the outbox's relay, and calls it
//! nowhere. It starts the relay and its consumers as all services do.

use crate::source::{Path, Source};

/// The verb of `messaging::Publisher`.
const VERB: &str = "publish";

/// The publisher that has a verb of its own, which is everybody's: it says where in the topic the message is.
const OF_KAFKA: &str = "KafkaPublisher";
const SEND: &str = "send";

/// The verb of `messaging::Queue` and of `messaging::kafka`.
const CONSUME: &str = "consume";

/// The calls of a publisher.
pub(crate) fn published(source: &Source) -> Vec<String> {
    let mut found = called(source, VERB);
    found.extend(sent(source));
    found
}

/// What a service does with Kafka's own publisher but make it and hand it on as a `Publisher`: a type that has it in it, and
/// a call of its own verb where it is made.
fn sent(source: &Source) -> Vec<String> {
    let named = source.identifiers.iter().filter(|name| *name == OF_KAFKA);
    let imports = source.imports.iter();
    let imported = imports.filter(|import| import.name == OF_KAFKA);
    let makes =
        |path: &&Path| matches!(path.as_slice(), [.., of, new] if of == OF_KAFKA && new == "new");
    let made = source.paths.iter().filter(makes).count();
    if named.count() > imported.count() + made {
        return vec![format!("{OF_KAFKA} by its type")];
    }
    let has_one = made > 0;
    let sent = source.methods.iter();
    sent.filter(|name| has_one && *name == SEND)
        .cloned()
        .collect()
}

/// The relays and consumers that are started by hand. `outbox::start_relay`, `messaging::start_stream` and
/// `messaging::start_queue` do it in one way for all services.
pub(crate) fn started_by_hand(source: &Source) -> Vec<String> {
    let imported = source.imports.iter().map(|import| &import.path);
    let relays = imported
        .chain(&source.paths)
        .filter(|path| **path == ["outbox", "relay"]);
    let relays = relays.map(|path| path.join("::"));
    relays.chain(called(source, CONSUME)).collect()
}

/// The calls of this method, and functions of this name, also where they are only imported.
fn called(source: &Source, verb: &str) -> Vec<String> {
    let methods = source.methods.iter().filter(|name| *name == verb).cloned();
    let imported = source.imports.iter().map(|import| &import.path);
    let functions = imported
        .chain(&source.paths)
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
        <dyn Publisher>::publish(&*state.publisher, &topic, message).await?;
        keys.published().publish_ahead()
    }";
    assert_eq!(
        published(&Source::read(handler)),
        ["publish", "publish", "Publisher::publish"]
    );
    let wiring = "use messaging::kafka::KafkaPublisher;
        fn run() {
            let publisher = Router::topics_only(Arc::new(KafkaPublisher::new(stream)?));
            outbox::start_relay(base, &pool, &outbox, publisher, options, status)
        }";
    assert!(published(&Source::read(wiring)).is_empty());
}

#[test]
fn a_publication_by_kafkas_own_verb_is_found() {
    let planted = |text: &str| published(&Source::read(text));
    let by_type = ["KafkaPublisher by its type"];
    assert_eq!(planted("struct State { topics: KafkaPublisher }"), by_type);
    assert_eq!(
        planted("fn f() { KafkaPublisher::send(&p, t, &m) }"),
        by_type
    );
    let where_made =
        "fn run() { let topics = KafkaPublisher::new(stream)?; topics.send(\"t\", &m) }";
    assert_eq!(planted(where_made), ["send"]);
    assert!(planted("async fn call(pool: Pool) { pool.send(request).await }").is_empty());
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
    let imported = "use outbox::{Outbox, relay}; use messaging::kafka::consume;";
    assert_eq!(
        started_by_hand(&Source::read(imported)),
        ["outbox::relay", "messaging::kafka::consume"]
    );
    let started = "start_stream(base, NAME, stream, options, facts, status);
        outbox::start_relay(base, &pool, &outbox, publisher, config.outbox.relay(span), status)";
    assert!(started_by_hand(&Source::read(started)).is_empty());
}
