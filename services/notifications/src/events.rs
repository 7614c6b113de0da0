//! Facts become jobs.
//!
//! From `order-events`: an order that was confirmed, rejected or cancelled is a mail to send. From
//! `user-events`: who a user is. From the exchange `user.created`, through a queue of our own: somebody to
//! welcome. A job goes to the work queue through the outbox, in the transaction of the inbox row: one fact,
//! one job, however often the fact is delivered.

use async_trait::async_trait;
use contracts::events::{OrderCancelled, OrderConfirmed, OrderRejected, UserCreated};
use contracts::jobs::EmailJob;
use contracts::queues::EMAIL_JOBS;
use envelope::{AMQP_PREFIX, Event, EventData, KAFKA_PREFIX, RawEvent};
use messaging::{Delivery, Destination, Handler, HandlerError};
use outbox::{Entry, Outbox, inbox};
use sqlx::PgPool;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use crate::error::Error;
use crate::store::recipients;

/// The consumer group, and the name under which the inbox remembers what was read from topics.
pub(crate) const GROUP: &str = "notifications";
/// The same for sign-ups from the queue: a consumer of its own, since its events are on a topic too.
const WELCOME: &str = "notifications.welcome";

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

    /// Writes the jobs that facts lead to, each the first time that its fact is seen, and who users are;
    /// all in one transaction.
    async fn note(&self, consumer: &str, noted: Vec<Noted>) -> Result<(), Error> {
        if noted.is_empty() {
            return Ok(());
        }
        let mut tx = self.pool.begin().await?;
        let ids: Vec<_> = noted.iter().filter_map(Noted::fact_id).collect();
        let mut first = inbox::accept_all(&mut tx, consumer, &ids).await?;
        let mut jobs = Vec::with_capacity(ids.len());
        for noted in noted {
            match noted {
                Noted::Job { fact_id, entry } if first.remove(&fact_id) => jobs.push(entry),
                Noted::Job { .. } => {}
                // Learning the same twice changes nothing: no inbox row for it.
                Noted::User(user) => {
                    recipients::learn(&mut *tx, user.user_id, &user.email, &user.name).await?;
                }
            }
        }
        let told = !jobs.is_empty();
        self.outbox.add_all(&mut tx, jobs).await?;
        tx.commit().await?;
        if told {
            self.outbox.wake();
        }
        Ok(())
    }

    /// The job that a fact leads to, as part of its trace.
    fn job<T>(&self, fact: &Event<T>, job: EmailJob) -> Result<Noted, Error> {
        let event = Event::new(job)
            .with_trace(chassis::trace::current())
            .caused_by(fact);
        Ok(Noted::Job {
            fact_id: fact.id,
            entry: Entry::new(&self.jobs, &event)?,
        })
    }
}

/// What is kept of a fact.
enum Noted {
    /// A mail to send.
    Job { fact_id: Uuid, entry: Entry },
    /// Who a user is.
    User(UserCreated),
}

impl Noted {
    fn fact_id(&self) -> Option<Uuid> {
        match self {
            Self::Job { fact_id, .. } => Some(*fact_id),
            Self::User(_) => None,
        }
    }
}

/// Facts that one transaction notes, at most.
const BATCH_MAX: usize = 64;

/// Reads the topics.
pub(crate) struct Facts(pub(crate) Desk);

impl Facts {
    /// What is to be kept of a message, if anything.
    fn read(&self, delivery: &Delivery) -> Result<Option<Noted>, Error> {
        let event = read(KAFKA_PREFIX, delivery)?;
        let noted = match event.event_type.as_str() {
            UserCreated::TYPE => Noted::User(event.decode::<UserCreated>()?.data),
            OrderConfirmed::TYPE => {
                let event = event.decode::<OrderConfirmed>()?;
                let fact = &event.data;
                let job = EmailJob::OrderConfirmed {
                    user_id: fact.user_id,
                    order_id: fact.order_id,
                    total_amount: fact.total_amount,
                    currency: fact.currency.clone(),
                };
                self.0.job(&event, job)?
            }
            OrderRejected::TYPE => {
                let event = event.decode::<OrderRejected>()?;
                let fact = &event.data;
                let job = EmailJob::OrderRejected {
                    user_id: fact.user_id,
                    order_id: fact.order_id,
                    reason: fact.reason.clone(),
                };
                self.0.job(&event, job)?
            }
            OrderCancelled::TYPE => {
                let event = event.decode::<OrderCancelled>()?;
                let job = EmailJob::OrderCancelled {
                    user_id: event.data.user_id,
                    order_id: event.data.order_id,
                };
                self.0.job(&event, job)?
            }
            // `order.placed` among them: the customer gets one mail, when it is known what becomes of the
            // order. And types that do not exist yet: a topic may grow without its readers.
            _ => return Ok(None),
        };
        Ok(Some(noted))
    }
}

#[async_trait]
impl Handler for Facts {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        self.handle_batch(std::slice::from_ref(delivery)).await
    }

    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    async fn handle_batch(&self, batch: &[Delivery]) -> Result<(), HandlerError> {
        let mut noted = Vec::with_capacity(batch.len());
        for delivery in batch {
            noted.extend(span(delivery).in_scope(|| self.read(delivery))?);
        }
        Ok(self.0.note(GROUP, noted).await?)
    }
}

/// The span of the work that a message leads to.
fn span(delivery: &Delivery) -> Span {
    chassis::trace::consumer_span(
        &format!("{} process", delivery.source),
        &delivery.message.headers,
    )
}

/// Reads our copy of the sign-ups.
pub(crate) struct SignUps(pub(crate) Desk);

impl SignUps {
    async fn react(&self, delivery: &Delivery) -> Result<(), Error> {
        let event = read(AMQP_PREFIX, delivery)?.decode::<UserCreated>()?;
        let user = &event.data;
        // As typed at sign-up, so that the welcome need not wait for `user-events`.
        let job = EmailJob::Welcome {
            user_id: user.user_id,
            email: user.email.clone(),
            name: user.name.clone(),
        };
        let job = self.0.job(&event, job)?;
        self.0.note(WELCOME, vec![job]).await
    }
}

#[async_trait]
impl Handler for SignUps {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        Ok(self.react(delivery).instrument(span(delivery)).await?)
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
