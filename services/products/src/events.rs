//! What the service hears about orders, and what it answers.
//!
//! It reacts to `agora.order.placed.v1` and `agora.order.cancelled.v1` on `order-events`, and answers on
//! `stock-events`, keyed by the order's id. Everything that an event leads to is one transaction: the
//! inbox row (it happened), the stock and the reservation (what happened), the outbox row (tell them).
//! A crash at any point leaves all of it or nothing, and nothing is delivered again.

use async_trait::async_trait;
use contracts::events::{OrderCancelled, OrderPlaced, StockRejected, StockReleased, StockReserved};
use contracts::topics::STOCK_EVENTS;
use envelope::{Event, EventData, KAFKA_PREFIX, RawEvent};
use messaging::{Delivery, Destination, Handler, HandlerError};
use outbox::Outbox;
use outbox::inbox::{self, Receipt};
use sqlx::{PgConnection, PgPool};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::domain::{Cancellation, Decision, Lines, cancel, decide};
use crate::error::Error;
use crate::store::reservations;

/// The consumer group, and the name under which the inbox remembers what was handled.
pub(crate) const GROUP: &str = "products";

/// CloudEvents `source` of what this service publishes.
pub(crate) const SOURCE: &str = "/services/products";

/// Reacts to order events.
#[derive(Debug, Clone)]
pub(crate) struct OrderEvents {
    pool: PgPool,
    outbox: Outbox,
    stock_events: Destination,
}

impl OrderEvents {
    /// A handler that works on this database and answers through this outbox.
    #[must_use]
    pub(crate) fn new(pool: PgPool, outbox: Outbox) -> Self {
        Self {
            pool,
            outbox,
            stock_events: Destination::Topic(STOCK_EVENTS.to_owned()),
        }
    }

    async fn react(&self, delivery: &Delivery) -> Result<(), Error> {
        let headers = delivery
            .message
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()));
        let event = RawEvent::from_binary(KAFKA_PREFIX, headers, &delivery.message.payload)?;
        match event.event_type.as_str() {
            OrderPlaced::TYPE => self.placed(&event.decode()?).await,
            OrderCancelled::TYPE => self.cancelled(&event.decode()?).await,
            // Facts for others, and types that do not exist yet: a topic may grow without its readers.
            _ => Ok(()),
        }
    }

    /// An order asks for stock: it gets all of its lines or none, and the same answer each time.
    async fn placed(&self, event: &Event<OrderPlaced>) -> Result<(), Error> {
        let order_id = event.data.order_id;
        let lines = Lines::parse(
            event
                .data
                .items
                .iter()
                .map(|item| (item.product_id, item.quantity)),
        )?;
        let mut tx = self.pool.begin().await?;
        if inbox::accept(&mut tx, GROUP, event.id).await? == Receipt::Duplicate {
            return Ok(());
        }
        let (decision, version) = match reservations::lock(&mut tx, order_id).await? {
            Some(known) => (
                known.answer(),
                reservations::next_version(&mut tx, order_id).await?,
            ),
            None => (
                decide_and_store(&mut tx, order_id, &lines).await?,
                FIRST_VERSION,
            ),
        };
        let outcome = match decision {
            Decision::Reserved => {
                self.answer(&mut tx, event, version, StockReserved { order_id })
                    .await?;
                "reserved"
            }
            Decision::Rejected { reason } => {
                tracing::info!(%order_id, reason, "order rejected");
                self.answer(&mut tx, event, version, StockRejected { order_id, reason })
                    .await?;
                "rejected"
            }
        };
        tx.commit().await?;
        self.outbox.wake();
        metrics::counter!("products_answers_total", "outcome" => outcome).increment(1);
        Ok(())
    }

    /// An order was taken back: what it held is for sale again.
    async fn cancelled(&self, event: &Event<OrderCancelled>) -> Result<(), Error> {
        let order_id = event.data.order_id;
        let mut tx = self.pool.begin().await?;
        if inbox::accept(&mut tx, GROUP, event.id).await? == Receipt::Duplicate {
            return Ok(());
        }
        let known = reservations::lock(&mut tx, order_id).await?;
        let cancellation = cancel(known.as_ref());
        match cancellation {
            Cancellation::Nothing => {}
            Cancellation::Remember => reservations::remember_cancelled(&mut tx, order_id).await?,
            Cancellation::Release => {
                let version = reservations::release(&mut tx, order_id).await?;
                self.answer(&mut tx, event, version, StockReleased { order_id })
                    .await?;
            }
        }
        tx.commit().await?;
        if cancellation == Cancellation::Release {
            self.outbox.wake();
            metrics::counter!("products_answers_total", "outcome" => "released").increment(1);
        }
        Ok(())
    }

    /// Writes an answer to the outbox. Its trace is the one of the work at hand, which continues the
    /// trace of the event that asked.
    async fn answer<T: EventData, U>(
        &self,
        tx: &mut PgConnection,
        cause: &Event<U>,
        version: i64,
        data: T,
    ) -> Result<(), Error> {
        let event = Event::new(SOURCE, data)
            .with_trace(chassis::trace::current())
            .caused_by(cause)
            .with_sequence(version.unsigned_abs());
        Ok(self.outbox.add(tx, &self.stock_events, &event).await?)
    }
}

/// The version of a reservation that was just made.
const FIRST_VERSION: i64 = 1;

/// Decides about an order that nobody decided about, and stores the decision.
async fn decide_and_store(
    tx: &mut PgConnection,
    order_id: Uuid,
    lines: &Lines,
) -> Result<Decision, sqlx::Error> {
    let stock = reservations::lock_stock(tx, lines).await?;
    let decision = decide(lines, &stock);
    match &decision {
        Decision::Reserved => reservations::reserve(tx, order_id, lines).await?,
        Decision::Rejected { reason } => reservations::reject(tx, order_id, reason).await?,
    }
    Ok(decision)
}

#[async_trait]
impl Handler for OrderEvents {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let span = chassis::trace::consumer_span("order-events process", &delivery.message.headers);
        Ok(self.react(delivery).instrument(span).await?)
    }
}
