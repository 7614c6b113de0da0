//! Bodies of the orders service.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Where an order stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, strum::Display,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum OrderStatus {
    /// Accepted; stock is not reserved yet.
    Pending,
    /// Stock is reserved; the purchase stands.
    Confirmed,
    /// It cannot be fulfilled; `reason` says why.
    Rejected,
    /// The customer took it back.
    Cancelled,
}

/// An order, as every call answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = Order::example)]
pub struct Order {
    /// UUID v7.
    pub id: Uuid,
    /// Who ordered.
    pub user_id: Uuid,
    /// Where it stands.
    pub status: OrderStatus,
    /// One for each product.
    pub items: Vec<OrderItem>,
    /// Sum over the items, in the currency's minor unit.
    pub total_amount: i64,
    /// ISO 4217 code.
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    pub currency: String,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When its status changed last.
    pub updated_at: DateTime<Utc>,
    /// Why it was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = String)]
    pub reason: Option<String>,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderItem {
    /// Which product.
    pub product_id: Uuid,
    /// Pieces, at least 1.
    #[schema(minimum = 1)]
    pub quantity: u32,
    /// Price of one piece when the order was placed, in the currency's minor unit.
    pub unit_price: i64,
}

/// A status that an order got: the data of an event of `GET /v1/orders/{id}/events`, whose `id` is the sequence and whose
/// `event` is the status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = OrderChange::example)]
pub struct OrderChange {
    /// Which order.
    pub order_id: Uuid,
    /// Grows from change to change, not always by one. The event on `order-events` about the same change has the same.
    pub sequence: u64,
    /// Where the order stands since.
    pub status: OrderStatus,
    /// Why it was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = String)]
    pub reason: Option<String>,
    /// When it changed.
    pub changed_at: DateTime<Utc>,
}

/// The body that places an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewOrder {
    /// What to buy; lines of the same product are added up.
    #[schema(min_items = 1, max_items = 50)]
    pub items: Vec<NewOrderItem>,
}

/// One line to order. The price is not the customer's to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewOrderItem {
    /// Which product.
    pub product_id: Uuid,
    /// Pieces.
    #[schema(minimum = 1, maximum = 1000)]
    pub quantity: u32,
}

/// One page of orders, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = OrderPage::example)]
pub struct OrderPage {
    /// The page.
    pub orders: Vec<Order>,
    /// Opaque; `null` on the last page.
    #[serde(default)]
    #[schema(required = true)]
    pub next_page_token: Option<String>,
}

/// Pages of several users' orders, in the order asked for. Users that the caller may not see are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = OrdersOfUsers::example)]
pub struct OrdersOfUsers {
    /// One for each user.
    pub users: Vec<OrdersOfUser>,
}

/// One user's page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrdersOfUser {
    /// Whose orders they are.
    pub user_id: Uuid,
    /// Newest first.
    pub orders: Vec<Order>,
    /// Whether there are older ones: the next page begins behind the id of the last one here.
    pub more: bool,
}
