//! The JSON form of orders: that of version 1, unless a version is named.

pub(crate) mod v2;

use contracts::rest;

use axum::{body::Bytes, response::sse::Event};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{
    domain::{Change, Order, Status},
    error::Error,
};

/// A version of the API, as far as its JSON differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

impl Version {
    /// Its segment in a path.
    pub(crate) const fn segment(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }

    /// Its number, as documents have it.
    pub(crate) const fn number(self) -> &'static str {
        match self {
            Self::V1 => "1",
            Self::V2 => "2",
        }
    }

    /// The body of the answer to a new order.
    pub(crate) fn encode(self, order: &Order) -> Result<Bytes, Error> {
        match self {
            Self::V1 => json(&self::order(order)),
            Self::V2 => json(&v2::order(order)),
        }
    }

    /// A server-sent event with a change of an order as its data.
    pub(crate) fn tell(
        self,
        event: Event,
        order_id: Uuid,
        change: Change,
    ) -> Result<Event, axum::Error> {
        match self {
            Self::V1 => event.json_data(self::change(order_id, change)),
            Self::V2 => event.json_data(v2::change(order_id, change)),
        }
    }

    /// A stored body, which was written in either version: byte for byte if it was this one, otherwise converted.
    pub(crate) fn shown_again(self, stored: Vec<u8>) -> Result<Bytes, Error> {
        match self {
            Self::V1 => again::<rest::Order, rest::v2::Order>(stored),
            Self::V2 => again::<rest::v2::Order, rest::Order>(stored),
        }
    }
}

// region: again
/// The body of a `This`, as it is or made of a `That`. Neither can be read as the other: each needs a member that the other
/// does not have.
fn again<This, That>(stored: Vec<u8>) -> Result<Bytes, Error>
where
    This: Serialize + DeserializeOwned + From<That>,
    That: DeserializeOwned,
{
    if serde_json::from_slice::<This>(&stored).is_ok() {
        return Ok(stored.into());
    }
    let that: That = serde_json::from_slice(&stored).map_err(Error::Encode)?;
    json(&This::from(that))
}
// endregion: again

fn json(body: &impl Serialize) -> Result<Bytes, Error> {
    serde_json::to_vec(body)
        .map(Bytes::from)
        .map_err(Error::Encode)
}

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
