//! Facts become jobs.
//!
//! From `order-events`: an order that was confirmed, rejected or cancelled is a mail to send. From
//! `user-events`: who a user is. From the exchange `user.created`, through a queue of our own: somebody to
//! welcome. A job goes to the work queue through the outbox, in the transaction of the inbox row: one fact,
//! one job, however often the fact is delivered.

use async_trait::async_trait;
use contracts::events::{OrderCancelled, OrderConfirmed, OrderRejected, UserCreated};
use contracts::jobs::{EmailJob, Template};
use contracts::queues::EMAIL_JOBS;
use envelope::{AMQP_PREFIX, Event, EventData, KAFKA_PREFIX, RawEvent};
use messaging::{Delivery, Destination, Handler, HandlerError};
use outbox::Outbox;
use outbox::inbox::{self, Receipt};
use sqlx::PgPool;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::error::Error;
use crate::store::recipients;

/// The consumer group, and the name under which the inbox remembers what was read from topics.
pub(crate) const GROUP: &str = "notifications";
/// The same for sign-ups from the queue: a consumer of its own, since its events are on a topic too.
const WELCOME: &str = "notifications.welcome";
/// CloudEvents `source` of the jobs.
const SOURCE: &str = "/services/notifications";

/// What both handlers work with.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    pool: PgPool,
    outbox: Outbox,
    jobs: Destination,
}

impl Desk {
    pub(crate) fn new(pool: PgPool, outbox: Outbox) -> Self {
        Self {
            pool,
            outbox,
            jobs: Destination::Queue(EMAIL_JOBS.to_owned()),
        }
    }

    /// Writes the job that a fact leads to, the first time that the fact is seen.
    async fn note<T>(&self, consumer: &str, fact: &Event<T>, job: EmailJob) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        if inbox::accept(&mut tx, consumer, fact.id).await? == Receipt::Duplicate {
            return Ok(());
        }
        let job = Event::new(SOURCE, job)
            .with_trace(chassis::trace::current())
            .caused_by(fact);
        self.outbox.add(&mut tx, &self.jobs, &job).await?;
        tx.commit().await?;
        self.outbox.wake();
        Ok(())
    }
}

/// Reads the topics.
pub(crate) struct Facts(pub(crate) Desk);

impl Facts {
    async fn react(&self, delivery: &Delivery) -> Result<(), Error> {
        let event = read(KAFKA_PREFIX, delivery)?;
        match event.event_type.as_str() {
            UserCreated::TYPE => {
                let user = event.decode::<UserCreated>()?.data;
                // Learning the same twice changes nothing: no inbox row for it.
                Ok(recipients::learn(&self.0.pool, user.user_id, &user.email, &user.name).await?)
            }
            OrderConfirmed::TYPE => {
                let event = event.decode::<OrderConfirmed>()?;
                let job = EmailJob {
                    total_amount: Some(event.data.total_amount),
                    currency: Some(event.data.currency.clone()),
                    ..about(
                        event.data.user_id,
                        event.data.order_id,
                        Template::OrderConfirmed,
                    )
                };
                self.0.note(GROUP, &event, job).await
            }
            OrderRejected::TYPE => {
                let event = event.decode::<OrderRejected>()?;
                let job = EmailJob {
                    reason: Some(event.data.reason.clone()),
                    ..about(
                        event.data.user_id,
                        event.data.order_id,
                        Template::OrderRejected,
                    )
                };
                self.0.note(GROUP, &event, job).await
            }
            OrderCancelled::TYPE => {
                let event = event.decode::<OrderCancelled>()?;
                let job = about(
                    event.data.user_id,
                    event.data.order_id,
                    Template::OrderCancelled,
                );
                self.0.note(GROUP, &event, job).await
            }
            // `order.placed` among them: the customer gets one mail, when it is known what becomes of the
            // order. And types that do not exist yet: a topic may grow without its readers.
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Handler for Facts {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let span = chassis::trace::consumer_span(
            &format!("{} process", delivery.source),
            &delivery.message.headers,
        );
        Ok(self.react(delivery).instrument(span).await?)
    }
}

/// Reads our copy of the sign-ups.
pub(crate) struct SignUps(pub(crate) Desk);

impl SignUps {
    async fn react(&self, delivery: &Delivery) -> Result<(), Error> {
        let event = read(AMQP_PREFIX, delivery)?.decode::<UserCreated>()?;
        let user = &event.data;
        let job = EmailJob {
            user_id: user.user_id,
            order_id: None,
            template: Template::Welcome,
            reason: None,
            total_amount: None,
            currency: None,
            // As typed at sign-up, so that the welcome need not wait for `user-events`.
            email: Some(user.email.clone()),
            name: Some(user.name.clone()),
        };
        self.0.note(WELCOME, &event, job).await
    }
}

#[async_trait]
impl Handler for SignUps {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let span = chassis::trace::consumer_span(
            &format!("{} process", delivery.source),
            &delivery.message.headers,
        );
        Ok(self.react(delivery).instrument(span).await?)
    }
}

/// The event in a message.
pub(crate) fn read(prefix: &str, delivery: &Delivery) -> Result<RawEvent, Error> {
    let headers = delivery
        .message
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    Ok(RawEvent::from_binary(
        prefix,
        headers,
        &delivery.message.payload,
    )?)
}

/// A mail about an order. The address is looked up when it is sent: `user-events` may be behind.
fn about(user_id: Uuid, order_id: Uuid, template: Template) -> EmailJob {
    EmailJob {
        user_id,
        order_id: Some(order_id),
        template,
        reason: None,
        total_amount: None,
        currency: None,
        email: None,
        name: None,
    }
}
