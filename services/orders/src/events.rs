//! What this service tells, and how it reacts to what products tells about stock.

use std::sync::Arc;

use async_trait::async_trait;
use chassis::trace;
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
use outbox::{
    Outbox,
    inbox::{self, Receipt},
};
use sqlx::{PgConnection, PgPool};
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    domain::{Order, Status},
    error::OrdersError,
    store,
};

/// The consumer group of this service, and its name in the inbox.
pub(crate) const GROUP: &str = "orders";

/// CloudEvents `source` of everything that this service tells.
const SOURCE: &str = "/services/orders";

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
    Event::new(SOURCE, data)
        .with_correlation(order.id)
        .with_sequence(order.version.unsigned_abs())
        .with_trace(trace::current())
}

/// What products decided.
enum Decision {
    Reserved,
    Rejected(String),
}

/// Takes in decisions about stock.
pub(crate) struct StockEvents {
    /// The database of this service.
    pub(crate) pool: PgPool,
    /// The way to tell others what became of the order.
    pub(crate) outbox: Outbox,
}

#[async_trait]
impl Handler for StockEvents {
    async fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let span = trace::consumer_span("stock-events process", &delivery.message.headers);
        self.take(delivery)
            .instrument(span)
            .await
            .map_err(OrdersError::into_handler_error)
    }
}

impl StockEvents {
    pub(crate) fn new(pool: PgPool, outbox: Outbox) -> Arc<Self> {
        Arc::new(Self { pool, outbox })
    }

    async fn take(&self, delivery: &Delivery) -> Result<(), OrdersError> {
        let headers = &delivery.message.headers;
        let event = RawEvent::from_binary(
            KAFKA_PREFIX,
            headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_bytes())),
            &delivery.message.payload,
        )?;
        let (order_id, decision) = match event.event_type.as_str() {
            StockReserved::TYPE => (
                event.decode::<StockReserved>()?.data.order_id,
                Decision::Reserved,
            ),
            StockRejected::TYPE => {
                let data = event.decode::<StockRejected>()?.data;
                (data.order_id, Decision::Rejected(data.reason))
            }
            // Released stock follows from what we told ourselves; types of tomorrow are not for us.
            _ => return Ok(()),
        };
        let mut tx = self.pool.begin().await?;
        let told = match inbox::accept(&mut tx, GROUP, event.id).await? {
            Receipt::First => self.decide(&mut tx, &event, order_id, decision).await?,
            Receipt::Duplicate => None,
        };
        tx.commit().await?;
        if let Some(status) = told {
            self.outbox.wake();
            metrics::counter!("orders_decided_total", "status" => status.as_str()).increment(1);
        }
        Ok(())
    }

    /// Moves the order and tells it, in the caller's transaction. `None` if there was nothing to do: what
    /// is decided stays decided, by whichever answer came first.
    async fn decide(
        &self,
        tx: &mut PgConnection,
        cause: &RawEvent,
        order_id: Uuid,
        decision: Decision,
    ) -> Result<Option<Status>, OrdersError> {
        let Some(mut order) = store::lock(tx, order_id).await? else {
            // An order's event is written with the order, so its answer never comes first.
            tracing::warn!(%order_id, event_id = %cause.id, "a decision about an order that is not here");
            return Ok(None);
        };
        let step = match decision {
            Decision::Reserved => order.confirm(now()),
            Decision::Rejected(reason) => order.reject(reason, now()),
        };
        if let Err(refused) = step {
            tracing::debug!(%order_id, event_id = %cause.id, %refused, "the order is decided already");
            return Ok(None);
        }
        store::save(tx, &order).await?;
        match order.status {
            Status::Confirmed => self.tell(tx, &order, confirmed(&order), cause).await?,
            _ => self.tell(tx, &order, rejected(&order), cause).await?,
        }
        Ok(Some(order.status))
    }

    async fn tell<T: EventData>(
        &self,
        tx: &mut PgConnection,
        order: &Order,
        event: Event<T>,
        cause: &RawEvent,
    ) -> Result<(), OrdersError> {
        let event = event.caused_by(cause).with_correlation(order.id);
        Ok(self.outbox.add(tx, &topic(), &event).await?)
    }
}

/// The time as PostgreSQL stores it: in microseconds.
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
