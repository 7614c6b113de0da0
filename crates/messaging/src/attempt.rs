//! One call of a handler, with every way that it can end.

use std::any::Any;
use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures::FutureExt;

use crate::observe::{Consumed, Ended};
use crate::{Delivery, Handler, HandlerError};

/// How one try ended. The reasons are for logs and for the dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Transient(String),
    Permanent(String),
    Panicked(String),
}

impl Outcome {
    fn ended(&self) -> Ended {
        match self {
            Self::Done => Ended::Done,
            Self::Transient(_) => Ended::Transient,
            Self::Permanent(_) => Ended::Permanent,
            Self::Panicked(_) => Ended::Panicked,
        }
    }
}

/// Calls the handler and measures how long it takes; a panic ends the try, not the consumer.
pub(crate) async fn attempt(
    handler: &dyn Handler,
    delivery: &Delivery,
    consumed: &Consumed,
) -> Outcome {
    consumed.received(delivery);
    let begun = Instant::now();
    let outcome = outcome(handler.handle(delivery)).await;
    consumed.processed(outcome.ended(), 1, begun.elapsed());
    outcome
}

/// Calls the handler for several messages at once; a panic ends the try, not the consumer.
#[cfg(feature = "kafka")]
pub(crate) async fn attempt_batch(
    handler: &dyn Handler,
    batch: &[Delivery],
    consumed: &Consumed,
) -> Outcome {
    let begun = Instant::now();
    let outcome = outcome(handler.handle_batch(batch)).await;
    // One that failed is no result for any of its messages: each is handled again by itself.
    if outcome == Outcome::Done {
        batch
            .iter()
            .for_each(|delivery| consumed.received(delivery));
        consumed.processed(Ended::Done, batch.len(), begun.elapsed());
    }
    outcome
}

async fn outcome(call: impl Future<Output = Result<(), HandlerError>>) -> Outcome {
    // The handler is only called again for whole messages, with state that it keeps behind its own
    // locks; a lock that a panic poisoned is the handler's to deal with.
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(Ok(())) => Outcome::Done,
        Ok(Err(HandlerError::Transient(error))) => Outcome::Transient(chain(error.as_ref())),
        Ok(Err(HandlerError::Permanent(error))) => Outcome::Permanent(chain(error.as_ref())),
        Err(panic) => Outcome::Panicked(format!("the handler panicked: {}", panic_text(&*panic))),
    }
}

/// An error and its causes on one line. A cause that its parent already quotes is not repeated.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = error.source();
    }
    text
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot reserve")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_reason_names_the_causes_once() {
        let error = Outer(std::io::Error::other("disk full"));
        assert_eq!(chain(&error), "cannot reserve: disk full");
        let boxed = HandlerError::permanent(error);
        assert_eq!(chain(&boxed), "cannot reserve: disk full");
    }
}
