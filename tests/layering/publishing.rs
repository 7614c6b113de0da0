//! Nothing is written to a broker inside a request: a service hands its publisher to the outbox's relay, and calls it
//! nowhere.

use crate::source::Source;

/// The verb of `messaging::Publisher`.
const VERB: &str = "publish";

/// The calls of a publisher.
pub(crate) fn published(source: &Source) -> Vec<String> {
    let methods = source.methods.iter().filter(|name| *name == VERB).cloned();
    let functions = source
        .paths
        .iter()
        .filter(|path| path.last().is_some_and(|name| name == VERB))
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
    let wiring = "outbox::relay(pool, outbox, publisher, relay, status, shutdown.token())";
    assert!(published(&Source::read(wiring)).is_empty());
}
