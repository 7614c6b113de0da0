//! What the service hears about orders, and what it answers.
//!
//! It reacts to `agora.order.placed.v1` and `agora.order.cancelled.v1` on `order-events`, and answers on
//! `stock-events`, keyed by the order's id. Everything that events lead to is one transaction: the
//! inbox rows (it happened), the stock and the reservations (what happened), the outbox rows (tell them).
//! A crash at any point leaves all of it or nothing, and what is delivered again finds its inbox row.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use chassis::db;
use contracts::events::{OrderCancelled, OrderPlaced, StockRejected, StockReleased, StockReserved};
use contracts::topics::STOCK_EVENTS;
use envelope::{Event, EventData, KAFKA_PREFIX, RawEvent};
use messaging::{Delivery, Destination, Handler, HandlerError};
use outbox::{Entry, Outbox, inbox};
use sqlx::{PgConnection, PgPool};
use tokio::sync::Semaphore;
use tracing::Span;
use uuid::Uuid;

use crate::domain::{Cancellation, Decision, Lines, cancel, decide, take};
use crate::error::Error;
use crate::store::reservations;

/// The consumer group, and the name under which the inbox remembers what was handled.
pub(crate) const GROUP: &str = "products";

/// Reacts to order events.
#[derive(Debug, Clone)]
pub(crate) struct OrderEvents {
    pool: PgPool,
    /// A transaction each.
    places: Arc<Semaphore>,
    outbox: Outbox,
    stock_events: Destination,
}

impl OrderEvents {
    /// A handler that works on this database and answers through this outbox.
    #[must_use]
    pub(crate) fn new(pool: PgPool, outbox: Outbox) -> Self {
        Self {
            places: Arc::new(Semaphore::new(db::consumers_share(&pool))),
            pool,
            outbox,
            stock_events: Destination::Topic(STOCK_EVENTS.to_owned()),
        }
    }

    /// One transaction for all of them: the inbox, stock and reservations, the answers.
    async fn react(&self, batch: &[Delivery]) -> Result<(), Error> {
        let mut facts = Vec::with_capacity(batch.len());
        for delivery in batch {
            facts.extend(read(delivery)?);
        }
        if facts.is_empty() {
            return Ok(());
        }
        let _place = self.places.acquire().await.expect("never closed");
        let mut tx = self.pool.begin().await?;
        let ids: Vec<_> = facts.iter().map(Fact::event_id).collect();
        let mut first = inbox::accept_all(&mut tx, GROUP, &ids).await?;
        facts.retain(|fact| first.remove(&fact.event_id()));

        let mut answers = Vec::new();
        for run in runs(facts) {
            match &run[..] {
                [Fact::Cancelled(asked)] => answers.extend(self.cancelled(&mut tx, asked).await?),
                run => answers.extend(self.placed(&mut tx, run).await?),
            }
        }
        let (entries, outcomes): (Vec<_>, Vec<_>) = answers.into_iter().unzip();
        let told = !entries.is_empty();
        self.outbox.add_all(&mut tx, entries).await?;
        tx.commit().await?;
        if told {
            self.outbox.wake();
        }
        for outcome in outcomes {
            metrics::counter!("products_answers_total", "outcome" => outcome).increment(1);
        }
        Ok(())
    }

    /// Orders ask for stock: each gets all of its lines or none, and the same answer each time.
    async fn placed(&self, tx: &mut PgConnection, run: &[Fact]) -> Result<Vec<Answer>, Error> {
        let asked: Vec<_> = run.iter().filter_map(Fact::placed).collect();
        let ids: Vec<_> = asked.iter().map(|asked| asked.order_id()).collect();
        let mut known = reservations::lock_all(tx, &ids).await?;
        let (mut new, mut answers) = (Vec::new(), Vec::with_capacity(asked.len()));
        for asked in asked {
            let order_id = asked.order_id();
            let Some(known) = known.remove(&order_id) else {
                new.push(asked);
                continue;
            };
            let version = reservations::next_version(tx, order_id).await?;
            answers.push(self.answer_to(asked, known.answer(), version)?);
        }
        let decisions = decide_and_store(tx, &new).await?;
        for (asked, decision) in new.into_iter().zip(decisions) {
            answers.push(self.answer_to(asked, decision, FIRST_VERSION)?);
        }
        Ok(answers)
    }

    fn answer_to(&self, asked: &Placed, decision: Decision, version: i64) -> Result<Answer, Error> {
        let order_id = asked.order_id();
        match decision {
            Decision::Reserved => {
                let data = StockReserved { order_id };
                let entry = self.answer(&asked.event, &asked.span, version, data)?;
                Ok((entry, "reserved"))
            }
            Decision::Rejected { reason } => {
                tracing::info!(parent: &asked.span, %order_id, reason, "order rejected");
                let data = StockRejected { order_id, reason };
                let entry = self.answer(&asked.event, &asked.span, version, data)?;
                Ok((entry, "rejected"))
            }
        }
    }

    /// An order was taken back: what it held is for sale again.
    async fn cancelled(
        &self,
        tx: &mut PgConnection,
        asked: &Cancelled,
    ) -> Result<Option<Answer>, Error> {
        let order_id = asked.event.data.order_id;
        let known = reservations::lock_all(tx, &[order_id]).await?;
        match cancel(known.get(&order_id)) {
            Cancellation::Nothing => Ok(None),
            Cancellation::Remember => {
                reservations::remember_cancelled(tx, order_id).await?;
                Ok(None)
            }
            Cancellation::Release => {
                let version = reservations::release(tx, order_id).await?;
                let data = StockReleased { order_id };
                let entry = self.answer(&asked.event, &asked.span, version, data)?;
                Ok(Some((entry, "released")))
            }
        }
    }

    /// An answer for the outbox. Its trace is the one of the work at hand, which continues the trace of
    /// the event that asked.
    fn answer<T: EventData, U>(
        &self,
        cause: &Event<U>,
        span: &Span,
        version: i64,
        data: T,
    ) -> Result<Entry, Error> {
        let event = Event::new(data)
            .with_trace(span.in_scope(chassis::trace::current))
            .caused_by(cause)
            .with_sequence(version.unsigned_abs());
        Ok(Entry::new(&self.stock_events, &event)?)
    }
}

/// The version of a reservation that was just made.
const FIRST_VERSION: i64 = 1;

/// What is told, and what metrics call it.
type Answer = (Entry, &'static str);

/// An order wants stock.
struct Placed {
    event: Event<OrderPlaced>,
    lines: Lines,
    span: Span,
}

impl Placed {
    fn order_id(&self) -> Uuid {
        self.event.data.order_id
    }
}

/// An order was taken back.
struct Cancelled {
    event: Event<OrderCancelled>,
    span: Span,
}

/// What this service reacts to.
enum Fact {
    Placed(Placed),
    Cancelled(Cancelled),
}

impl Fact {
    fn event_id(&self) -> Uuid {
        match self {
            Self::Placed(asked) => asked.event.id,
            Self::Cancelled(asked) => asked.event.id,
        }
    }

    fn placed(&self) -> Option<&Placed> {
        match self {
            Self::Placed(asked) => Some(asked),
            Self::Cancelled(_) => None,
        }
    }
}

/// The fact in a message, if it is one for this service.
fn read(delivery: &Delivery) -> Result<Option<Fact>, Error> {
    let headers = &delivery.message.headers;
    let pairs = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let event = RawEvent::from_binary(KAFKA_PREFIX, pairs, &delivery.message.payload)?;
    let span = chassis::trace::consumer_span("order-events process", headers);
    match event.event_type.as_str() {
        OrderPlaced::TYPE => {
            let event = event.decode::<OrderPlaced>()?;
            let items = event.data.items.iter();
            let lines = Lines::parse(items.map(|item| (item.product_id, item.quantity)))?;
            Ok(Some(Fact::Placed(Placed { event, lines, span })))
        }
        OrderCancelled::TYPE => {
            let event = event.decode()?;
            Ok(Some(Fact::Cancelled(Cancelled { event, span })))
        }
        // Facts for others, and types that do not exist yet: a topic may grow without its readers.
        _ => Ok(None),
    }
}

/// Cuts facts into runs that can be done with the same few statements: orders that ask for stock, each
/// once. A cancellation stands alone, for it can change what those behind it find.
fn runs(facts: Vec<Fact>) -> Vec<Vec<Fact>> {
    let mut runs: Vec<Vec<Fact>> = Vec::new();
    let mut asking = HashSet::new();
    for fact in facts {
        let joins = match &fact {
            Fact::Placed(asked) => asking.insert(asked.order_id()),
            Fact::Cancelled(_) => false,
        };
        match runs.last_mut() {
            Some(run) if joins && !matches!(run[..], [Fact::Cancelled(_)]) => run.push(fact),
            _ => {
                asking.clear();
                asking.extend(fact.placed().map(Placed::order_id));
                runs.push(vec![fact]);
            }
        }
    }
    runs
}

/// Decides about orders that nobody decided about, one after the other, and stores the decisions; answers
/// with them in the same order.
async fn decide_and_store(
    tx: &mut PgConnection,
    orders: &[&Placed],
) -> Result<Vec<Decision>, sqlx::Error> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    // All products of all orders at once, in one order: see `lock_stock`.
    let mut stock = reservations::lock_stock(tx, orders.iter().map(|order| &order.lines)).await?;
    let mut decisions = Vec::with_capacity(orders.len());
    let (mut reserved, mut rejected) = (Vec::new(), Vec::new());
    for order in orders {
        let decision = decide(&order.lines, &stock);
        match &decision {
            Decision::Reserved => {
                take(&order.lines, &mut stock);
                reserved.push((order.order_id(), &order.lines));
            }
            Decision::Rejected { reason } => rejected.push((order.order_id(), reason.clone())),
        }
        decisions.push(decision);
    }
    reservations::reserve(tx, &reserved).await?;
    reservations::reject(tx, rejected).await?;
    Ok(decisions)
}

/// Events that one transaction reacts to, at most.
const BATCH_MAX: usize = 64;

#[async_trait]
impl Handler for OrderEvents {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        self.handle_batch(std::slice::from_ref(delivery)).await
    }

    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    async fn handle_batch(&self, batch: &[Delivery]) -> Result<(), HandlerError> {
        Ok(self.react(batch).await?)
    }
}
