//! Bodies of version 2: money is an amount with its currency, an order can say where it goes, and a reason has a code.
//!
//! What is the same in both versions (ids, statuses, lists) is the first version's.

mod examples;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{NewOrderItem, OrderStatus, orders as v1};
use crate::values::{Address, Money};

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
    /// Sum over the items.
    pub total: Money,
    /// Where the goods go. Orders that were placed by version 1 have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Address)]
    pub shipping_address: Option<Address>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When its status changed last.
    pub updated_at: DateTime<Utc>,
    /// Why it was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Reason)]
    pub reason: Option<Reason>,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderItem {
    /// Which product.
    pub product_id: Uuid,
    /// Pieces, at least 1.
    #[schema(minimum = 1)]
    pub quantity: u32,
    /// Price of one piece when the order was placed.
    pub unit_price: Money,
}

/// Why an order was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// For programs: `stock_rejected`, and whatever is added to it later.
    #[schema(example = "stock_rejected")]
    pub code: String,
    /// For people.
    pub text: String,
}

impl Reason {
    /// The stock did not suffice for every line.
    pub const STOCK_REJECTED: &'static str = "stock_rejected";

    /// With this text. There is one code: only a decision about stock rejects an order.
    #[must_use]
    pub fn stock_rejected(text: String) -> Self {
        Self {
            code: Self::STOCK_REJECTED.to_owned(),
            text,
        }
    }
}

/// A status that an order got: the data of an event of `GET /v2/orders/{id}/events`, whose `id` is the sequence and whose
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
    #[schema(required = false, value_type = Reason)]
    pub reason: Option<Reason>,
    /// When it changed.
    pub changed_at: DateTime<Utc>,
}

/// The body that places an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewOrder {
    /// What to buy; lines of the same product are added up.
    #[schema(min_items = 1, max_items = 50)]
    pub items: Vec<NewOrderItem>,
    /// Where the goods go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Address)]
    pub shipping_address: Option<Address>,
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

/// Several orders, in the order asked for. One that does not exist, or that the caller may not see, is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = OrdersByIds::example)]
pub struct OrdersByIds {
    /// Each once.
    pub orders: Vec<Order>,
}

/// Something for sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = Product::example)]
pub struct Product {
    /// Its id.
    pub id: Uuid,
    /// Short, for lists.
    pub name: String,
    /// A paragraph.
    pub description: String,
    /// One piece.
    pub price: Money,
    /// Pieces that can be ordered: the stock less what is reserved.
    pub available: i64,
}

/// One page of products.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = ProductPage::example)]
pub struct ProductPage {
    /// The page.
    pub products: Vec<Product>,
    /// Opaque; `null` on the last page.
    #[serde(default)]
    #[schema(required = true)]
    pub next_page_token: Option<String>,
}

impl From<v1::Order> for Order {
    /// The first version has one currency for the whole order, and no address.
    fn from(v1: v1::Order) -> Self {
        let money = |amount| Money {
            amount,
            currency: v1.currency.clone(),
        };
        let items = v1.items.iter().map(|item| OrderItem {
            product_id: item.product_id,
            quantity: item.quantity,
            unit_price: money(item.unit_price),
        });
        Self {
            id: v1.id,
            user_id: v1.user_id,
            status: v1.status,
            items: items.collect(),
            total: money(v1.total_amount),
            shipping_address: None,
            created_at: v1.created_at,
            updated_at: v1.updated_at,
            reason: v1.reason.map(Reason::stock_rejected),
        }
    }
}

impl From<Order> for v1::Order {
    /// Without what the first version cannot say.
    fn from(v2: Order) -> Self {
        let items = v2.items.into_iter().map(|item| v1::OrderItem {
            product_id: item.product_id,
            quantity: item.quantity,
            unit_price: item.unit_price.amount,
        });
        Self {
            id: v2.id,
            user_id: v2.user_id,
            status: v2.status,
            items: items.collect(),
            total_amount: v2.total.amount,
            currency: v2.total.currency,
            created_at: v2.created_at,
            updated_at: v2.updated_at,
            reason: v2.reason.map(|reason| reason.text),
        }
    }
}
