//! What this service tells, and how it reacts to what products tells about stock.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use chassis::{db, trace};
use chrono::{DateTime, SubsecRound, Utc};
use contracts::{
    events::{
        OrderCancelled, OrderConfirmed, OrderLine, OrderPlaced, OrderRejected, StockRejected,
        StockReserved,
    },
    topics,
};
use envelope::{Event, EventData, KAFKA_PREFIX, RawEvent};
use messaging::{Delivery, Destination, Handler, HandlerError};
use outbox::{Entry, Outbox, inbox};
use sqlx::PgPool;
use tokio::sync::Semaphore;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use crate::{
    domain::{Order, Status},
    error::OrdersError,
    store,
};

/// The consumer group of this service, and its name in the inbox.
pub(crate) const GROUP: &str = "orders";

/// Where the events of orders go.
pub(crate) fn topic() -> Destination {
    Destination::Topic(topics::ORDER_EVENTS.to_owned())
}

/// Stock is wanted for a pending order: told when it is placed, and again when nobody answers.
pub(crate) fn placed(order: &Order) -> Event<OrderPlaced> {
    about(
        order,
        OrderPlaced {
            order_id: order.id,
            user_id: order.user_id,
            items: order
                .lines
                .iter()
                .map(|line| OrderLine {
                    product_id: line.product_id,
                    quantity: line.quantity.get(),
                    unit_price: line.unit_price.minor,
                })
                .collect(),
            total_amount: order.total.minor,
            currency: order.total.currency.to_string(),
        },
    )
}

/// The customer took the order back.
pub(crate) fn cancelled(order: &Order) -> Event<OrderCancelled> {
    about(
        order,
        OrderCancelled {
            order_id: order.id,
            user_id: order.user_id,
        },
    )
}

fn confirmed(order: &Order) -> Event<OrderConfirmed> {
    about(
        order,
        OrderConfirmed {
            order_id: order.id,
            user_id: order.user_id,
            total_amount: order.total.minor,
            currency: order.total.currency.to_string(),
        },
    )
}

fn rejected(order: &Order) -> Event<OrderRejected> {
    let reason = order.reason.clone().unwrap_or_default();
    about(
        order,
        OrderRejected {
            order_id: order.id,
            user_id: order.user_id,
            reason,
        },
    )
}

/// An event of the current trace. All events of an order share one correlation, the order's id, so that
/// one search finds the whole purchase whatever was repeated on the way.
fn about<T: EventData>(order: &Order, data: T) -> Event<T> {
    Event::new(data)
        .with_correlation(order.id)
        .with_sequence(order.version.unsigned_abs())
        .with_trace(trace::current())
}

/// What products decided about an order.
struct Decision {
    /// The event that says so; what follows from it belongs to its trace.
    cause: RawEvent,
    span: Span,
    order_id: Uuid,
    verdict: Verdict,
}

enum Verdict {
    Reserved,
    Rejected(String),
}

/// Takes in decisions about stock.
pub(crate) struct StockEvents {
    /// The database of this service.
    pool: PgPool,
    /// A transaction each.
    places: Semaphore,
    /// The way to tell others what became of the order.
    outbox: Outbox,
}

/// Decisions that are taken in by one transaction, at most.
const BATCH_MAX: usize = 64;

#[async_trait]
impl Handler for StockEvents {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        self.handle_batch(std::slice::from_ref(delivery)).await
    }

    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    async fn handle_batch(&self, batch: &[Delivery]) -> Result<(), HandlerError> {
        self.take(batch)
            .await
            .map_err(OrdersError::into_handler_error)
    }
}

impl StockEvents {
    pub(crate) fn new(pool: PgPool, outbox: Outbox) -> Arc<Self> {
        let places = Semaphore::new(db::consumers_share(&pool));
        Arc::new(Self {
            pool,
            places,
            outbox,
        })
    }

    /// One transaction for all of them: the inbox, the orders, what is told of them.
    async fn take(&self, batch: &[Delivery]) -> Result<(), OrdersError> {
        let mut decisions = Vec::with_capacity(batch.len());
        for delivery in batch {
            decisions.extend(read(delivery)?);
        }
        if decisions.is_empty() {
            return Ok(());
        }
        let span = if let [decision] = &decisions[..] {
            decision.span.clone()
        } else {
            Span::none()
        };
        self.decide(decisions).instrument(span).await
    }

    async fn decide(&self, decisions: Vec<Decision>) -> Result<(), OrdersError> {
        let _place = self.places.acquire().await.expect("never closed");
        let mut tx = self.pool.begin().await?;
        let ids: Vec<_> = decisions.iter().map(|decision| decision.cause.id).collect();
        let mut first = inbox::accept_all(&mut tx, GROUP, &ids).await?;
        let ids: Vec<_> = decisions.iter().map(|decision| decision.order_id).collect();
        let mut orders = store::lock_all(&mut tx, &ids).await?;

        let mut told = Vec::new();
        let mut decided = HashSet::new();
        for decision in decisions.iter().filter(|d| first.remove(&d.cause.id)) {
            let entry = decision
                .span
                .in_scope(|| decision.apply(orders.get_mut(&decision.order_id)))?;
            if let Some(entry) = entry {
                told.push(entry);
                decided.insert(decision.order_id);
            }
        }
        orders.retain(|id, _| decided.contains(id));
        store::save_all(&mut tx, orders.values()).await?;
        self.outbox.add_all(&mut tx, told).await?;
        tx.commit().await?;
        if !orders.is_empty() {
            self.outbox.wake();
        }
        for order in orders.values() {
            metrics::counter!("orders_decided_total", "status" => order.status.as_str())
                .increment(1);
        }
        Ok(())
    }
}

/// The decision in a message, if it is one.
fn read(delivery: &Delivery) -> Result<Option<Decision>, OrdersError> {
    let headers = &delivery.message.headers;
    let cause = RawEvent::from_binary(
        KAFKA_PREFIX,
        headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes())),
        &delivery.message.payload,
    )?;
    let (order_id, verdict) = match cause.event_type.as_str() {
        StockReserved::TYPE => (
            cause.decode::<StockReserved>()?.data.order_id,
            Verdict::Reserved,
        ),
        StockRejected::TYPE => {
            let data = cause.decode::<StockRejected>()?.data;
            (data.order_id, Verdict::Rejected(data.reason))
        }
        // Released stock follows from what we told ourselves; types of tomorrow are not for us.
        _ => return Ok(None),
    };
    Ok(Some(Decision {
        span: trace::consumer_span("stock-events process", headers),
        cause,
        order_id,
        verdict,
    }))
}

impl Decision {
    /// Moves the order; answers with what is to be told of it. `None` if there was nothing to do: what is
    /// decided stays decided, by whichever answer came first.
    fn apply(&self, order: Option<&mut Order>) -> Result<Option<Entry>, OrdersError> {
        let (order_id, event_id) = (self.order_id, self.cause.id);
        let Some(order) = order else {
            // An order's event is written with the order, so its answer never comes first.
            tracing::warn!(%order_id, %event_id, "a decision about an order that is not here");
            return Ok(None);
        };
        let step = match &self.verdict {
            Verdict::Reserved => order.confirm(now()),
            Verdict::Rejected(reason) => order.reject(reason.clone(), now()),
        };
        if let Err(refused) = step {
            tracing::debug!(%order_id, %event_id, %refused, "the order is decided already");
            return Ok(None);
        }
        let entry = match order.status {
            Status::Confirmed => self.tell(order, confirmed(order)),
            _ => self.tell(order, rejected(order)),
        };
        Ok(Some(entry?))
    }

    fn tell<T: EventData>(&self, order: &Order, event: Event<T>) -> Result<Entry, OrdersError> {
        let event = event.caused_by(&self.cause).with_correlation(order.id);
        Ok(Entry::new(&topic(), &event)?)
    }
}

/// The time as PostgreSQL stores it: in microseconds.
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
