//! Orders and their lines. The module is below that of users, since the two types refer to each other.

use async_graphql::{Context, Enum, ID, Object, Result};
use chrono::{DateTime, Utc};
use contracts::rest::{self, v2};
use uuid::Uuid;

use super::User;
use crate::graphql::asking::Asking;
use crate::graphql::fetches::OrdersKey;
use crate::graphql::page::{ORDERS, connection};
use crate::graphql::refusal::nullable;
use crate::graphql::types::{Address, Money, Product};

/// Where an order stands.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "rest::OrderStatus")]
pub(in crate::graphql) enum OrderStatus {
    /// Accepted; stock is not reserved yet.
    Pending,
    /// Stock is reserved; the purchase stands.
    Confirmed,
    /// It cannot be fulfilled; `reason` says why.
    Rejected,
    /// The customer took it back.
    Cancelled,
}

/// An order.
#[derive(Debug, Clone)]
pub(in crate::graphql) struct Order(pub(in crate::graphql) v2::Order);

#[Object]
impl Order {
    async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// Who ordered.
    async fn user_id(&self) -> ID {
        self.0.user_id.into()
    }

    /// The same, with what is known of them.
    async fn user(&self, context: &Context<'_>) -> Option<Result<User>> {
        nullable(async {
            User::of(Asking::of(context)?, self.0.user_id)
                .await
                .map(Some)
        })
        .await
    }

    /// Where it stands.
    async fn status(&self) -> OrderStatus {
        self.0.status.into()
    }

    /// Why it was rejected.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_ref().map(|reason| reason.text.as_str())
    }

    /// The same for programs: `stock_rejected`, and whatever is added to it later.
    async fn reason_code(&self) -> Option<&str> {
        self.0.reason.as_ref().map(|reason| reason.code.as_str())
    }

    /// One for each product.
    async fn items(&self) -> Vec<OrderItem> {
        let items = self.0.items.iter();
        let item = |item: &v2::OrderItem| OrderItem {
            product_id: item.product_id,
            quantity: item.quantity,
            unit_price: (&item.unit_price).into(),
        };
        items.map(item).collect()
    }

    /// The sum over the items.
    async fn total(&self) -> Money {
        (&self.0.total).into()
    }

    /// Where the goods go. An order that was placed without has none.
    async fn shipping_address(&self) -> Option<Address> {
        self.0.shipping_address.clone().map(Address::from)
    }

    /// When it was accepted.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When its status changed last.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}

connection!(OrderConnection, OrderEdge, Order, ORDERS);

impl OrderConnection {
    /// A page of a user's orders; none for a user that the caller may not see.
    pub(in crate::graphql) async fn of_user(
        asking: &Asking,
        user_id: Uuid,
        first: Option<i64>,
        after: Option<&str>,
    ) -> Result<Option<Self>> {
        let page = ORDERS.page(first, after)?;
        let Some(found) = asking.orders.load(OrdersKey { user_id, page }).await? else {
            return Ok(None);
        };
        let items = found.orders.iter();
        let items = items.map(|order| (order.id, Order(order.clone())));
        Self::new(page, found.more, items).map(Some)
    }
}

/// One line of an order.
#[derive(Debug)]
pub(in crate::graphql) struct OrderItem {
    product_id: Uuid,
    quantity: u32,
    unit_price: Money,
}

#[Object]
impl OrderItem {
    async fn product_id(&self) -> ID {
        self.product_id.into()
    }

    /// As it is now; null if it is not for sale any more.
    async fn product(&self, context: &Context<'_>) -> Option<Result<Product>> {
        nullable(async {
            let product = Asking::of(context)?.products.load(self.product_id).await?;
            product.map(Product::try_from).transpose()
        })
        .await
    }

    /// Pieces.
    async fn quantity(&self) -> u32 {
        self.quantity
    }

    /// Of one piece, when the order was placed.
    async fn unit_price(&self) -> &Money {
        &self.unit_price
    }
}
