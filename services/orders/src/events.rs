//! What this service tells.

use chassis::trace;
use contracts::{
    events::{OrderCancelled, OrderConfirmed, OrderLine, OrderPlaced, OrderRejected},
    topics,
};
use envelope::{Event, EventData};
use messaging::Destination;

use crate::domain::Order;

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

/// Stock is reserved; the purchase stands.
pub(crate) fn confirmed(order: &Order) -> Event<OrderConfirmed> {
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

/// The order cannot be fulfilled.
pub(crate) fn rejected(order: &Order) -> Event<OrderRejected> {
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
