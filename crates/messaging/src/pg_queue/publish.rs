//! Publishing: one statement, also for a fanout, and for all messages that come at the same time.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;

use super::answer::{ANSWER_TIMEOUT, within};
use super::store::{self, Outgoing};
use super::{PgQueue, SYSTEM};
use crate::queue::{self, unroutable};
use crate::{Destination, Message, PublishError, Publisher};

/// The queues that a message reached, or why none: for all messages of a group, if it is the same.
pub(super) type Published = Result<Vec<String>, Arc<sqlx::Error>>;

#[async_trait]
impl Publisher for PgQueue {
    /// Queue: the message is there once, or the queue was never declared and it is rejected.
    ///
    /// Exchange: each bound queue has a copy, all or none. While no queue is bound the message is not
    /// accepted, and not lost: see [`PublishError::Unavailable`].
    async fn publish(&self, to: &Destination, message: Message) -> Result<(), PublishError> {
        let begun = Instant::now();
        let published = self.send(to, message).await;
        self.sent
            .note(to.name(), published.as_ref().err(), begun.elapsed());
        published
    }

    fn system(&self, _to: &Destination) -> &'static str {
        SYSTEM
    }
}

impl PgQueue {
    async fn send(&self, to: &Destination, message: Message) -> Result<(), PublishError> {
        queue::check(to, &message)?;
        let outgoing = Outgoing {
            is_exchange: matches!(to, Destination::Exchange(_)),
            name: to.name().to_owned(),
            message,
        };
        let publish = |group| self.publish_group(group);
        let queues = match self.published.call(outgoing, publish).await {
            Some(Ok(queues)) => queues,
            Some(Err(error)) => return Err(classify(to, &error)),
            None => {
                return Err(PublishError::Unavailable(format!(
                    "{to}: it is not known whether the message was stored"
                )));
            }
        };
        if queues.is_empty() {
            return Err(unroutable(to));
        }
        queues.iter().for_each(|queue| self.wakes.ring(queue));
        Ok(())
    }

    /// Publishes all in one statement or, if PostgreSQL rejects that, one by one: a message that it rejects must not fail
    /// the others. While it is away none is tried again: each would wait for it as long as the first did, one after the other.
    async fn publish_group(&self, group: Vec<Outgoing>) -> Vec<Published> {
        let mut away = match self.publish_at_once(&group).await {
            Ok(reached) => return reached.into_iter().map(Ok).collect(),
            Err(error) if group.len() == 1 => return vec![Err(Arc::new(error))],
            Err(error) => Some(Arc::new(error)).filter(|error| is_away(error)),
        };
        let mut published = Vec::with_capacity(group.len());
        for outgoing in group.chunks(1) {
            if let Some(error) = &away {
                published.push(Err(Arc::clone(error)));
                continue;
            }
            let reached = self.publish_at_once(outgoing).await;
            let reached = reached.map_err(Arc::new);
            away = reached
                .as_ref()
                .err()
                .filter(|error| is_away(error))
                .cloned();
            published.push(reached.map(|mut reached| reached.pop().unwrap_or_default()));
        }
        published
    }

    /// Gives up an answer that does not come: not every caller has a limit of its own, and all of them wait for it.
    async fn publish_at_once(&self, group: &[Outgoing]) -> sqlx::Result<Vec<Vec<String>>> {
        within(ANSWER_TIMEOUT, store::publish(&self.pool, group)).await
    }
}

/// Whether PostgreSQL cannot be reached or does not answer in time (class 57), whatever it is asked.
fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57")),
        _ => false,
    }
}

/// Data that PostgreSQL rejects (class 22: a zero byte in a text) or that is too large for it (class 54) is rejected
/// again. Everything else may pass, missing tables too: somebody will install them.
fn classify(to: &Destination, error: &sqlx::Error) -> PublishError {
    let code = error.as_database_error().and_then(|e| e.code());
    let detail = format!("{to}: {error}");
    match code.as_deref() {
        Some(code) if code.starts_with("22") => PublishError::Rejected(detail),
        Some(code) if code.starts_with("54") => PublishError::TooLarge(detail),
        _ => PublishError::Unavailable(detail),
    }
}
