//! What happened, as other services learn it.
//!
//! Payloads of CloudEvents. The version is part of the type: a change that an old reader cannot read
//! is a new type beside the old one, which says how it is made of the version before it. Adding an optional
//! field is not such a change; readers ignore fields that they do not know. The JSON of each payload is pinned
//! by a snapshot in `tests/`; what may change, and how, is in `docs/patterns/versioning.md`.

mod order_placed;

use envelope::{EventData, Versions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use order_placed::{OrderLineV2, OrderPlacedV2};

use crate::sources::{ORDERS, PRODUCTS, USERS};

/// Implements [`EventData`]: the type on the wire, the service that it belongs to, which field holds the
/// aggregate's id and, if there is one, the version before it.
macro_rules! event {
    ($payload:ty, $type:literal, $source:expr, $subject:ident $(, after $earlier:ty)?) => {
        impl EventData for $payload {
            const TYPE: &'static str = $type;
            const SOURCE: &'static str = $source;

            fn subject(&self) -> String {
                self.$subject.to_string()
            }

            $(fn versions() -> Versions<Self> {
                Versions::after::<$earlier>()
            })?
        }
    };
}

/// One product in an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderLine {
    /// Which product.
    pub product_id: Uuid,
    /// Pieces, at least 1.
    pub quantity: u32,
    /// Price of one piece when the order was placed, in the currency's minor unit.
    pub unit_price: i64,
}

/// An order was accepted; its stock is not reserved yet. The first version; [`OrderPlacedV2`] is the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderPlaced {
    /// The order.
    pub order_id: Uuid,
    /// Who ordered.
    pub user_id: Uuid,
    /// One line for each product.
    pub items: Vec<OrderLine>,
    /// Sum over the lines, in the currency's minor unit.
    pub total_amount: i64,
    /// ISO 4217 code.
    pub currency: String,
}
event!(OrderPlaced, "agora.order.placed.v1", ORDERS, order_id);
event!(OrderPlacedV2, "agora.order.placed.v2", ORDERS, order_id, after OrderPlaced);

/// Stock is reserved for all lines of the order; the purchase stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderConfirmed {
    /// The order.
    pub order_id: Uuid,
    /// Who ordered.
    pub user_id: Uuid,
    /// Sum over the lines, in the currency's minor unit.
    pub total_amount: i64,
    /// ISO 4217 code.
    pub currency: String,
}
event!(OrderConfirmed, "agora.order.confirmed.v1", ORDERS, order_id);

/// The order cannot be fulfilled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderRejected {
    /// The order.
    pub order_id: Uuid,
    /// Who ordered.
    pub user_id: Uuid,
    /// Why, in words for the customer.
    pub reason: String,
}
event!(OrderRejected, "agora.order.rejected.v1", ORDERS, order_id);

/// The customer took the order back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderCancelled {
    /// The order.
    pub order_id: Uuid,
    /// Who ordered.
    pub user_id: Uuid,
}
event!(OrderCancelled, "agora.order.cancelled.v1", ORDERS, order_id);

/// Stock for all lines of the order was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockReserved {
    /// The order.
    pub order_id: Uuid,
}
event!(StockReserved, "agora.stock.reserved.v1", PRODUCTS, order_id);

/// Stock did not suffice for every line, so none was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockRejected {
    /// The order.
    pub order_id: Uuid,
    /// Why, in words for the customer.
    pub reason: String,
}
event!(StockRejected, "agora.stock.rejected.v1", PRODUCTS, order_id);

/// What was set aside for the order is for sale again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockReleased {
    /// The order.
    pub order_id: Uuid,
}
event!(StockReleased, "agora.stock.released.v1", PRODUCTS, order_id);

/// Somebody signed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserCreated {
    /// The account.
    pub user_id: Uuid,
    /// As it was typed at sign-up.
    pub email: String,
    /// How to address them.
    pub name: String,
}
event!(UserCreated, "agora.user.created.v1", USERS, user_id);
