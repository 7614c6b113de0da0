//! Converts facts to jobs.
//!
//! From `order-events`: an order that was confirmed, rejected or cancelled is a mail to send. From `user-events`: the
//! email and name of a user. From the exchange `user.created`, through a queue of this service: a user to welcome. A
//! job is sent to the work queue through the outbox, in the transaction of the inbox row: one job for each fact,
//! however often the fact is delivered.

use contracts::events::{OrderCancelled, OrderConfirmed, OrderRejected, UserCreated};
use contracts::jobs::EmailJob;
use contracts::queues::EMAIL_JOBS;
use envelope::Event;
use messaging::Destination;
use outbox::{EventHandler, Failure, Reads, Received, Transaction};

use crate::store::recipients;

/// The consumer group, and the consumer name under which the inbox records events from topics.
pub(crate) const GROUP: &str = "notifications";
/// The same for sign-ups from the queue: a separate consumer, since the same events are on a topic, too.
pub(crate) const WELCOME: &str = "notifications.welcome";

/// What a fact means for this service.
#[derive(Debug)]
pub(crate) enum Noted {
    /// A mail to send.
    Job(EmailJob),
    /// The email and name of a user.
    User(UserCreated),
}

/// Consumes the topics.
#[derive(Debug)]
pub(crate) struct Facts;

impl EventHandler for Facts {
    type Fact = Noted;

    /// `order.placed` is not among them: the customer gets one mail, when the outcome of the order is known.
    fn reads() -> Reads<Noted> {
        Reads::new()
            // Storing the same user twice changes nothing.
            .idempotent_event(Noted::User)
            .event(|order: OrderConfirmed| {
                Noted::Job(EmailJob::OrderConfirmed {
                    user_id: order.user_id,
                    order_id: order.order_id,
                    total_amount: order.total_amount,
                    currency: order.currency,
                })
            })
            .event(|order: OrderRejected| {
                Noted::Job(EmailJob::OrderRejected {
                    user_id: order.user_id,
                    order_id: order.order_id,
                    reason: order.reason,
                })
            })
            .event(|order: OrderCancelled| {
                Noted::Job(EmailJob::OrderCancelled {
                    user_id: order.user_id,
                    order_id: order.order_id,
                })
            })
    }

    fn name_of(&self, facts: &[Received<Noted>]) -> &'static str {
        let is_user = |received: &Received<Noted>| matches!(received.fact, Noted::User(_));
        match facts.iter().all(is_user) {
            true => "note recipient",
            false => "request mail",
        }
    }

    async fn apply(
        &self,
        tx: &mut Transaction,
        facts: Vec<Received<Noted>>,
    ) -> Result<(), Failure> {
        for Received {
            fact, cause, span, ..
        } in facts
        {
            match fact {
                Noted::Job(job) => {
                    let jobs = Destination::Queue(EMAIL_JOBS.to_owned());
                    let job = Event::new(job).caused_by(&cause);
                    tx.tell(&jobs, &job)?;
                    let (job_id, order_id) = (job.id, job.data.order_id());
                    tx.on_commit(move || {
                        let order_id = order_id.map(tracing::field::display);
                        tracing::info!(parent: &span, %job_id, order_id, "mail requested");
                    });
                }
                Noted::User(user) => {
                    recipients::learn(&mut **tx, user.user_id, &user.email, &user.name).await?;
                }
            }
        }
        Ok(())
    }
}

/// Consumes this service's queue of sign-ups.
#[derive(Debug)]
pub(crate) struct SignUps;

impl EventHandler for SignUps {
    type Fact = Noted;

    fn reads() -> Reads<Noted> {
        // Uses the data of the sign-up itself, so that the welcome need not wait for `user-events`.
        Reads::new().event(|user: UserCreated| {
            Noted::Job(EmailJob::Welcome {
                user_id: user.user_id,
                email: user.email,
                name: user.name,
            })
        })
    }

    fn name_of(&self, facts: &[Received<Noted>]) -> &'static str {
        Facts.name_of(facts)
    }

    async fn apply(
        &self,
        tx: &mut Transaction,
        facts: Vec<Received<Noted>>,
    ) -> Result<(), Failure> {
        Facts.apply(tx, facts).await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use contracts::asyncapi::received;
    use contracts::queues::USER_CREATED_WELCOME;
    use contracts::topics::{ORDER_EVENTS, USER_EVENTS};

    use super::*;

    /// Of what it does not handle the document says so, too.
    #[test]
    fn the_document_says_what_is_read() {
        let read: BTreeSet<_> = Facts::reads().types().map(str::to_owned).collect();
        let topics = [ORDER_EVENTS, USER_EVENTS];
        let said: BTreeSet<_> = topics
            .map(|topic| received(GROUP, topic))
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(read, said);
        let read: BTreeSet<_> = SignUps::reads().types().map(str::to_owned).collect();
        assert_eq!(read, received(GROUP, USER_CREATED_WELCOME));
    }
}
