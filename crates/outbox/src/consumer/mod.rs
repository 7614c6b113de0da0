//! The idempotent consumer: everything for handling an event once, except its effect.

mod failure;
mod reads;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use envelope::{RawEvent, TraceContext};
use futures::FutureExt as _;
use messaging::{Delivery, Handler, HandlerError, Together};
use sqlx::PgPool;
use tokio::sync::Semaphore;
use tracing::{Instrument as _, Span};

pub use failure::{DatabaseFailure, Failure};
pub use reads::{Reads, event_in};

use crate::bounded::{ANSWER_TIMEOUT, within};
use crate::inbox;
use crate::outbox::Outbox;
use crate::transaction::{Transaction, UNNAMED};

/// The consumers' part of a pool of connections is one of so many: a third.
const SHARE_OF_POOL: u32 = 3;

/// Events that one transaction handles at most, unless a handler says otherwise.
const BATCH_MAX: usize = 64;

/// How long events wait for a transaction under way, to share the next one. Many times as long as one takes on a busy machine: one
/// that takes longer waits for something, and must not hold up other partitions than its own.
const PATIENCE: Duration = Duration::from_millis(250);

/// The part that each consumer implements: which events it reads, and their effects.
pub trait EventHandler: Send + Sync + 'static {
    /// What an event is to this consumer, decoded and checked.
    type Fact: Send + Sync + 'static;

    /// The types of events that it reads. Others pass without effect, and cost no transaction.
    fn reads() -> Reads<Self::Fact>;

    /// The most events that [`apply`](Self::apply) wants at once: what a consumer that is behind handles in one
    /// transaction. 64 unless told otherwise.
    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    /// What the transaction of these events does, in a few words, such as `pay invoice`: the name that whoever watches
    /// sees it under. `transaction` unless told otherwise.
    fn name_of(&self, _events: &[Received<Self::Fact>]) -> &'static str {
        UNNAMED
    }

    /// Makes the effects of events that are seen for the first time, in their order, in the transaction that notes them
    /// in the inbox; what follows from them is [told](Transaction::tell) in it. Never empty; one event while
    /// the consumer keeps up, for none is waited for. Those of different partitions, or of different workers of a queue, share
    /// a transaction if they come while the last one is under way; a process makes one at a time, unless one takes longer
    /// than 250 ms.
    ///
    /// When a shared transaction fails, each part of it is handled again alone; when a batch of a partition fails, each of
    /// its events is. So only the one at fault fails, and nobody waits for it again.
    ///
    /// A transaction that is not over after 30 s is given up, and its events are tried again
    /// ([`Consumers::answering_within`]).
    ///
    /// # Errors
    /// Any of them rolls everything back; [`Failure`] decides whether the message is tried again.
    fn apply(
        &self,
        tx: &mut Transaction,
        events: Vec<Received<Self::Fact>>,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// An event that a consumer gets.
#[derive(Debug)]
pub struct Received<F> {
    /// What it is to the consumer.
    pub fact: F,
    /// The event itself, for [`Event::caused_by`](envelope::Event::caused_by). Its trace is the one of the work on it,
    /// so that what it causes continues there.
    pub cause: RawEvent,
    /// The span of the work on it. A single event is handled in it; of a batch it is the parent of what concerns one.
    pub span: Span,
    is_idempotent: bool,
}

/// Makes the consumers of one service.
///
/// Together they hold no more than a third of the pool's connections, and at least one. The others are for callers who
/// wait for an answer: after a broker was away all partitions have a backlog at once, and a transaction for each of
/// them would leave no connection for anybody else.
#[derive(Debug, Clone)]
pub struct Consumers {
    pool: PgPool,
    outbox: Outbox,
    /// A transaction each.
    places: Arc<Semaphore>,
    answer_timeout: Duration,
    span: fn(&str, &[(String, String)]) -> Span,
    context: fn(&Span) -> TraceContext,
}

impl Consumers {
    /// Consumers that work on this database and tell through this outbox.
    #[must_use]
    pub fn new(pool: PgPool, outbox: Outbox) -> Self {
        let places = (pool.options().get_max_connections() / SHARE_OF_POOL).max(1);
        Self {
            pool,
            outbox,
            places: Arc::new(Semaphore::new(places as usize)),
            answer_timeout: ANSWER_TIMEOUT,
            span: |name, _| tracing::info_span!("message", name),
            context: |_| TraceContext::default(),
        }
    }

    /// Makes the work on an event part of the trace that its message carries. This crate knows no tracing library, so it
    /// asks for two functions of whoever does: `span` makes the span of the work, of this name and for a message with
    /// these headers; `context` returns a span's context, for the events that follow from the work.
    #[must_use]
    pub fn traced(
        mut self,
        span: fn(&str, &[(String, String)]) -> Span,
        context: fn(&Span) -> TraceContext,
    ) -> Self {
        (self.span, self.context) = (span, context);
        self
    }

    /// Gives a transaction up after so long, and its events are tried again: its database may be gone without a word. 30 s unless
    /// told otherwise.
    #[must_use]
    pub fn answering_within(mut self, limit: Duration) -> Self {
        self.answer_timeout = limit;
        self
    }

    /// A consumer that the inbox knows under `name`: usually the consumer group. The same event takes effect once for
    /// each name.
    pub fn idempotent<H: EventHandler>(
        &self,
        name: &'static str,
        handler: H,
    ) -> Arc<IdempotentConsumer<H>> {
        let events_max = handler.batch_max();
        Arc::new(IdempotentConsumer {
            name,
            shared: self.clone(),
            reads: H::reads(),
            handler,
            together: Together::weighed(events_max, Vec::len),
        })
    }
}

/// What came of the part of a call in a transaction; `None` if others had a part in it and it failed.
type Made = Option<Result<(), Failure>>;

/// Takes each event once, however often it is delivered: the inbox row, the effect and what is told of it are one
/// transaction.
///
/// A message that holds no event is parked. A crash at any point leaves all of the transaction or nothing, and what is
/// delivered again finds its inbox row.
pub struct IdempotentConsumer<H: EventHandler> {
    name: &'static str,
    shared: Consumers,
    reads: Reads<H::Fact>,
    handler: H,
    /// What comes while a transaction is under way shares the next one.
    together: Together<Vec<Received<H::Fact>>, Made>,
}

impl<H: EventHandler> IdempotentConsumer<H> {
    async fn take(&self, batch: &[Delivery]) -> Result<(), Failure> {
        let events = self.read_all(batch)?;
        if events.is_empty() {
            // For others, all of them: no transaction.
            return Ok(());
        }
        // What has failed before may fail again, and may take its time to: nobody waits for it.
        let has_failed = |delivery: &Delivery| delivery.attempt > 1 || delivery.failed_in_batch;
        if batch.iter().any(has_failed) {
            return self.make_in_span(events).await;
        }
        let make = |group| self.make_group(group);
        match self.together.call_within(PATIENCE, events, make).await {
            Ok(Some(Some(made))) => made,
            Ok(_) => self.make_in_span(self.read_all(batch)?).await,
            Err(events) => self.make_in_span(events).await,
        }
    }

    /// Takes what several calls have received, in one transaction.
    async fn make_group(&self, group: Vec<Vec<Received<H::Fact>>>) -> Vec<Made> {
        let calls = group.len();
        let made = self.make_in_span(group.into_iter().flatten().collect());
        if calls == 1 {
            return vec![Some(made.await)];
        }
        // A panic, too, must not count for whoever happens to lead.
        let reason = match AssertUnwindSafe(made).catch_unwind().await {
            Ok(Ok(())) => return (0..calls).map(|_| Some(Ok(()))).collect(),
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => "the handler panicked".to_owned(),
        };
        let group = self.name;
        tracing::debug!(
            group,
            calls,
            reason,
            "a shared transaction failed; each takes its own"
        );
        (0..calls).map(|_| None).collect()
    }

    /// Takes the events; a single one in its own span. Of several each belongs to a trace of its own, and is seen there to
    /// fail if the transaction does.
    async fn make_in_span(&self, events: Vec<Received<H::Fact>>) -> Result<(), Failure> {
        // Not over before the transaction is, whenever the handler is done with them.
        let spans: Vec<_> = events.iter().map(|event| event.span.clone()).collect();
        let work = match &spans[..] {
            [span] => span.clone(),
            _ => Span::none(),
        };
        let made = self.make(events).instrument(work).await;
        if let Err(failure) = &made {
            for span in &spans {
                span.record("error.type", failure.kind());
                span.record("otel.status_code", "ERROR");
            }
        }
        made
    }

    /// The events in the messages that are for this consumer.
    fn read_all(&self, batch: &[Delivery]) -> Result<Vec<Received<H::Fact>>, Failure> {
        let mut events = Vec::with_capacity(batch.len());
        for delivery in batch {
            events.extend(self.read(delivery)?);
        }
        Ok(events)
    }

    /// The event in a message, if it is one for this consumer.
    fn read(&self, delivery: &Delivery) -> Result<Option<Received<H::Fact>>, Failure> {
        let mut cause = event_in(delivery)?;
        // By type before anything is decoded.
        let Some(read) = self.reads.find(&cause)? else {
            return Ok(None);
        };
        let name = format!("{} process", delivery.source);
        let span = (self.shared.span)(&name, &delivery.message.headers);
        span.record("messaging.system", delivery.system);
        span.record("attempt", delivery.attempt);
        let fact = span.in_scope(|| (read.parse)(&cause))?;
        let trace = (self.shared.context)(&span);
        if !trace.is_empty() {
            cause.trace = trace;
        }
        Ok(Some(Received {
            fact,
            cause,
            span,
            is_idempotent: read.is_idempotent,
        }))
    }

    async fn make(&self, events: Vec<Received<H::Fact>>) -> Result<(), Failure> {
        // Before the connection, so that a consumer that waits for a place holds no connection.
        let _place = self.shared.places.acquire().await.expect("never closed");
        within(self.shared.answer_timeout, self.transact(events)).await
    }

    async fn transact(&self, events: Vec<Received<H::Fact>>) -> Result<(), Failure> {
        let name = self.handler.name_of(&events);
        let begun = self.shared.outbox.begin_named(&self.shared.pool, name);
        let mut tx = begun.await?;
        let delivered = events.len();
        // First of all, so that a copy of an event that is handled elsewhere waits here, before it locks anything.
        let events = self.first_seen(&mut tx, events).await?;
        let repeated = delivered - events.len();
        if !events.is_empty() {
            self.handler.apply(&mut tx, events).await?;
        }
        tx.commit().await?;
        self.count_repeated(repeated);
        Ok(())
    }

    /// Some repetitions after each restart are normal; if all events are repetitions, positions are never committed.
    fn count_repeated(&self, repeated: usize) {
        if repeated > 0 {
            let count = metrics::counter!("inbox_repeated_total", "consumer" => self.name);
            count.increment(repeated as u64);
        }
    }

    /// Notes the events in the inbox; keeps those that were not there. Of two copies in one batch the first is kept. By
    /// their logical ids: an event that is published in two versions is one.
    async fn first_seen(
        &self,
        tx: &mut Transaction,
        mut events: Vec<Received<H::Fact>>,
    ) -> Result<Vec<Received<H::Fact>>, sqlx::Error> {
        let noted = events.iter().filter(|event| !event.is_idempotent);
        let ids: Vec<_> = noted.map(|event| event.cause.logical_id).collect();
        if !ids.is_empty() {
            let mut first = inbox::accept_all(tx, self.name, &ids).await?;
            events.retain(|event| event.is_idempotent || first.remove(&event.cause.logical_id));
        }
        Ok(events)
    }
}

#[async_trait]
impl<H: EventHandler> Handler for IdempotentConsumer<H> {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        self.handle_batch(std::slice::from_ref(delivery)).await
    }

    fn batch_max(&self) -> usize {
        self.handler.batch_max()
    }

    async fn handle_batch(&self, batch: &[Delivery]) -> Result<(), HandlerError> {
        let attempt = batch.first().map_or(1, |delivery| delivery.attempt);
        self.take(batch)
            .await
            .map_err(|failure| failure.into_handler_error(attempt))
    }
}
