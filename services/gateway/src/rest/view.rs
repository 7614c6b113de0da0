//! The public JSON of gRPC messages.

use chrono::{DateTime, Utc};
use contracts::rest::examples::{EXAMPLE_USER, example_time};
use contracts::users::v1;
use prost_types::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// A user as the public sees one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = User::example)]
pub(super) struct User {
    /// UUID v7.
    #[schema(format = Uuid)]
    pub(super) id: String,
    /// As it was typed at sign-up.
    email: String,
    /// How to address them.
    name: String,
    /// When they signed up.
    #[schema(value_type = DateTime<Utc>)]
    created_at: Option<DateTime<Utc>>,
}

impl User {
    /// For the documents: who buys in the examples of `contracts`.
    pub(super) fn example() -> Self {
        Self {
            id: EXAMPLE_USER.to_string(),
            email: "ada@example.org".to_owned(),
            name: "Ada".to_owned(),
            created_at: Some(example_time(0)),
        }
    }

    /// A list of one, a line for each.
    pub(super) fn example_lines() -> String {
        // Nothing in a user cannot be written as JSON.
        let user = serde_json::to_string(&Self::example()).unwrap_or_default();
        format!("{user}\n")
    }
}

impl From<v1::User> for User {
    fn from(user: v1::User) -> Self {
        Self {
            id: user.id,
            email: user.email,
            name: user.name,
            created_at: time(user.created_at),
        }
    }
}

/// An order. `status` is text: a new one must pass through a gateway that does not know it.
#[derive(Debug, Serialize)]
pub(super) struct Order {
    id: String,
    user_id: String,
    status: String,
    items: Vec<OrderItem>,
    total_amount: i64,
    currency: String,
    created_at: Option<DateTime<Utc>>,
    updated_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
}

#[derive(Debug, Serialize)]
struct OrderItem {
    product_id: String,
    quantity: u32,
    unit_price: i64,
}

impl From<v1::Order> for Order {
    fn from(order: v1::Order) -> Self {
        Self {
            id: order.id,
            user_id: order.user_id,
            status: order.status,
            items: order.items.into_iter().map(OrderItem::from).collect(),
            total_amount: order.total_amount,
            currency: order.currency,
            created_at: time(order.created_at),
            updated_at: time(order.updated_at),
            reason: order.reason,
        }
    }
}

impl From<v1::OrderItem> for OrderItem {
    fn from(item: v1::OrderItem) -> Self {
        Self {
            product_id: item.product_id,
            quantity: item.quantity,
            unit_price: item.unit_price,
        }
    }
}

/// One page of orders.
#[derive(Debug, Serialize)]
pub(super) struct OrderPage {
    orders: Vec<Order>,
    /// `null` on the last page.
    next_page_token: Option<String>,
}

impl From<v1::GetUserOrdersResponse> for OrderPage {
    fn from(page: v1::GetUserOrdersResponse) -> Self {
        Self {
            orders: page.orders.into_iter().map(Order::from).collect(),
            next_page_token: Some(page.next_page_token).filter(|token| !token.is_empty()),
        }
    }
}

pub(crate) fn time(timestamp: Option<Timestamp>) -> Option<DateTime<Utc>> {
    let Timestamp { seconds, nanos } = timestamp?;
    DateTime::from_timestamp(seconds, u32::try_from(nanos).ok()?)
}
