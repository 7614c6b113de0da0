//! The JSON form of orders in version 2 of the API.

use contracts::{
    rest::v2::{Order as OrderV2, OrderChange, OrderItem, Reason},
    values,
};

use uuid::Uuid;

use super::status;
use crate::domain::{Address, Change, Money, Order};

// region: order
/// The JSON of an order.
pub(crate) fn order(order: &Order) -> OrderV2 {
    OrderV2 {
        id: order.id,
        user_id: order.user_id,
        status: status(order.status),
        items: order
            .lines
            .iter()
            .map(|line| OrderItem {
                product_id: line.product_id,
                quantity: line.quantity.get(),
                unit_price: line.unit_price.into(),
            })
            .collect(),
        total: order.total.into(),
        shipping_address: order.shipping_address.as_ref().map(values::Address::from),
        created_at: order.created_at,
        updated_at: order.updated_at,
        reason: order.reason.clone().map(Reason::stock_rejected),
    }
}
// endregion: order

/// The JSON of a change of an order.
pub(crate) fn change(order_id: Uuid, change: Change) -> OrderChange {
    OrderChange {
        order_id,
        sequence: change.sequence.unsigned_abs(),
        status: status(change.status),
        reason: change.reason.map(Reason::stock_rejected),
        changed_at: change.at,
    }
}

impl From<Money> for values::Money {
    fn from(money: Money) -> Self {
        Self {
            amount: money.minor,
            currency: money.currency.to_string(),
        }
    }
}

impl From<&Address> for values::Address {
    fn from(address: &Address) -> Self {
        Self {
            name: address.name.to_string(),
            street: address.street.to_string(),
            postal_code: address.postal_code.as_ref().map(ToString::to_string),
            city: address.city.to_string(),
            country: address.country.to_string(),
        }
    }
}
