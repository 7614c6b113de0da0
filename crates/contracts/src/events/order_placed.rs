//! The second version of `agora.order.placed`, and how the first one is read as it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::OrderPlaced;
use crate::values::{Address, Money};

// region: v2
/// An order was accepted; its stock is not reserved yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderPlacedV2 {
    /// The order.
    pub order_id: Uuid,
    /// Who ordered.
    pub user_id: Uuid,
    /// One line for each product.
    pub items: Vec<OrderLineV2>,
    /// Sum over the lines.
    pub total: Money,
    /// Where the goods go, if the customer said so. The first version could not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<Address>,
}

/// One product in an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderLineV2 {
    /// Which product.
    pub product_id: Uuid,
    /// Pieces, at least 1.
    pub quantity: u32,
    /// Price of one piece when the order was placed.
    pub unit_price: Money,
}
// endregion: v2

// region: upcaster
impl From<OrderPlaced> for OrderPlacedV2 {
    /// The first version had one currency for the whole order.
    fn from(v1: OrderPlaced) -> Self {
        let money = |amount| Money {
            amount,
            currency: v1.currency.clone(),
        };
        let lines = v1.items.iter().map(|line| OrderLineV2 {
            product_id: line.product_id,
            quantity: line.quantity,
            unit_price: money(line.unit_price),
        });
        Self {
            order_id: v1.order_id,
            user_id: v1.user_id,
            items: lines.collect(),
            total: money(v1.total_amount),
            shipping_address: None,
        }
    }
}
// endregion: upcaster
