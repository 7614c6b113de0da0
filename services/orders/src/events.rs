//! The events that this service publishes.

use chassis::trace;
use clap::ValueEnum;
use contracts::{
    events::{
        OrderCancelled, OrderConfirmed, OrderLine, OrderLineV2, OrderPlaced, OrderPlacedV2,
        OrderRejected,
    },
    topics, values,
};
use envelope::{Event, EventData};
use messaging::Destination;
use outbox::{OutboxError, Told};
use tracing::level_filters::LevelFilter;

use crate::domain::Order;

/// The consumer group of this service, and its name in the inbox.
pub(crate) const GROUP: &str = "orders";

/// The destination of the events of orders.
pub(crate) fn topic() -> Destination {
    Destination::Topic(topics::ORDER_EVENTS.to_owned())
}

// region: placed
/// In which versions it is told that an order was placed.
///
/// Consumers are brought up to date first, then the producer goes from the old version to both and, once nobody reads
/// the old one any more, to the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlacedVersions {
    /// `agora.order.placed.v1` only.
    V1,
    /// Both at once, as twins.
    #[value(name = "v1,v2")]
    Both,
    /// `agora.order.placed.v2` only.
    V2,
}

/// Tells that stock is wanted for a pending order: when it is placed, and again when nobody answers.
pub(crate) fn tell_placed(
    told: &mut Told,
    order: &Order,
    versions: PlacedVersions,
) -> Result<(), OutboxError> {
    match versions {
        PlacedVersions::V1 => told.tell(&topic(), &about(order, placed_v1(order))),
        PlacedVersions::V2 => told.tell(&topic(), &about(order, placed_v2(order))),
        PlacedVersions::Both => {
            let (v1, v2) = about(order, placed_v1(order)).with_twin(placed_v2(order));
            told.tell(&topic(), &v1)?;
            told.tell(&topic(), &v2)
        }
    }
}
// endregion: placed

fn placed_v1(order: &Order) -> OrderPlaced {
    let lines = order.lines.iter().map(|line| OrderLine {
        product_id: line.product_id,
        quantity: line.quantity.get(),
        unit_price: line.unit_price.minor,
    });
    OrderPlaced {
        order_id: order.id,
        user_id: order.user_id,
        items: lines.collect(),
        total_amount: order.total.minor,
        currency: order.total.currency.to_string(),
    }
}

fn placed_v2(order: &Order) -> OrderPlacedV2 {
    let lines = order.lines.iter().map(|line| OrderLineV2 {
        product_id: line.product_id,
        quantity: line.quantity.get(),
        unit_price: line.unit_price.into(),
    });
    OrderPlacedV2 {
        order_id: order.id,
        user_id: order.user_id,
        items: lines.collect(),
        total: order.total.into(),
        shipping_address: order.shipping_address.as_ref().map(values::Address::from),
    }
}

/// The customer cancelled the order.
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

/// An event in the current trace. All events of an order have the order's id as their correlation id, so that one search
/// finds the whole purchase, whatever was retried.
fn about<T: EventData>(order: &Order, data: T) -> Event<T> {
    Event::new(data)
        .with_correlation(order.id)
        .with_sequence(order.version.unsigned_abs())
        .with_trace(trace::current())
}

/// The common prefix of the types of [`tell_placed`].
const PLACED: &str = "agora.order.placed.";

/// Returns the log line for an order whose event the broker has accepted, given the event's headers. Of twins only the older
/// version is logged.
pub(crate) fn published(_: &str, headers: &[(String, String)]) -> Option<Box<dyn FnOnce() + Send>> {
    // Not `enabled!`: with per-layer filters its result stays in a thread-local, and the next span is created with it.
    if LevelFilter::current() < LevelFilter::INFO {
        return None;
    }
    let header = |name: &str| {
        let found = headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    };
    let is_placed = header("ce_type")?.starts_with(PLACED);
    if !is_placed || header("ce_logicalid").is_some() {
        return None;
    }
    let order_id = header("ce_subject")?.to_owned();
    // Logged as a field: the request's span has ended, and the relay's span is in another trace.
    let trace_id = header("traceparent").and_then(|parent| parent.split('-').nth(1));
    let trace_id = trace_id.map(str::to_owned);
    Some(Box::new(move || {
        tracing::info!(order_id, trace_id, "order published");
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_versions_of_a_placed_order_are_known_by_their_type() {
        for name in [OrderPlaced::TYPE, OrderPlacedV2::TYPE] {
            assert!(name.starts_with(PLACED), "{name}");
        }
    }
}
