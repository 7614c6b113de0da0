//! Orders as the wire shows them.

use contracts::rest;

use uuid::Uuid;

use crate::domain::{Change, Order, Status};

/// The JSON of an order.
pub(crate) fn order(order: &Order) -> rest::Order {
    rest::Order {
        id: order.id,
        user_id: order.user_id,
        status: status(order.status),
        items: order
            .lines
            .iter()
            .map(|line| rest::OrderItem {
                product_id: line.product_id,
                quantity: line.quantity.get(),
                unit_price: line.unit_price.minor,
            })
            .collect(),
        total_amount: order.total.minor,
        currency: order.total.currency.to_string(),
        created_at: order.created_at,
        updated_at: order.updated_at,
        reason: order.reason.clone(),
    }
}

/// The JSON of a change of an order.
pub(crate) fn change(order_id: Uuid, change: Change) -> rest::OrderChange {
    rest::OrderChange {
        order_id,
        sequence: change.sequence.unsigned_abs(),
        status: status(change.status),
        reason: change.reason,
        changed_at: change.at,
    }
}

fn status(status: Status) -> rest::OrderStatus {
    match status {
        Status::Pending => rest::OrderStatus::Pending,
        Status::Confirmed => rest::OrderStatus::Confirmed,
        Status::Rejected => rest::OrderStatus::Rejected,
        Status::Cancelled => rest::OrderStatus::Cancelled,
    }
}
