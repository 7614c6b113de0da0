//! The dashboard with orders and products in the form of version 2.

use axum::extract::State;
use axum::{Extension, Json as Answer};
use chassis::auth::Caller;
use chassis::extract::Path;
use chassis::openapi::{Routes, routes};
use contracts::rest::v2::{Order, Product};
use futures::TryFutureExt;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Bought, CANDIDATES, ForSale, ORDERS, PartError, Shared, User, gather};
use crate::error::Error;
use crate::limits::calls::Calls;

pub(in crate::rest) fn routes(root: &str) -> Routes<Shared> {
    Routes::below(root).with(routes!(dashboard))
}

/// A part that is missing is `null`, which is not the same as empty.
#[derive(Serialize, ToSchema)]
#[schema(example = Dashboard::example)]
struct Dashboard {
    /// Whose it is.
    #[schema(required = true)]
    user: Option<User>,
    /// The newest orders.
    #[schema(required = true)]
    orders: Option<Vec<Order>>,
    /// What can be bought and was not bought yet.
    #[schema(required = true)]
    recommended: Option<Vec<Product>>,
    /// Whether any part is missing; `errors` says why.
    partial: bool,
    errors: Vec<PartError>,
}

impl Dashboard {
    /// One without recommendations, since products did not answer.
    fn example() -> Self {
        Self {
            user: Some(User::example()),
            orders: Some(vec![Order::example()]),
            recommended: None,
            partial: true,
            errors: vec![PartError::example()],
        }
    }
}

/// A user, their newest orders and what they may like, in one answer.
///
/// A part whose service does not answer in time is `null` and named in `errors`; the rest is there.
#[utoipa::path(get, path = "/dashboard/{user_id}", operation_id = "getDashboard", tag = "dashboard",
    security(("bearer" = [])), params(("user_id" = Uuid, Path, description = "The user's id.")),
    responses((status = 200, description = "The dashboard.", body = Dashboard)))]
async fn dashboard(
    State(gateway): State<Shared>,
    caller: Caller,
    Extension(calls): Extension<Calls>,
    Path(user_id): Path<Uuid>,
) -> Result<Answer<Dashboard>, Error> {
    let (orders, products) = (gateway.orders.v2(), gateway.products.v2());
    let orders = orders
        .of_user(&caller.token, user_id, Some(ORDERS), None)
        .map_ok(|page| page.orders);
    let goods = products
        .list(Some(CANDIDATES), None, None)
        .map_ok(|page| page.products);
    let parts = gather(&gateway, &caller, calls, user_id, orders, goods).await?;
    Ok(Answer(Dashboard {
        user: parts.user,
        orders: parts.orders,
        recommended: parts.recommended,
        partial: !parts.errors.is_empty(),
        errors: parts.errors,
    }))
}

impl Bought for Order {
    fn products(&self) -> impl Iterator<Item = Uuid> {
        self.items.iter().map(|item| item.product_id)
    }
}

impl ForSale for Product {
    fn id(&self) -> Uuid {
        self.id
    }

    fn available(&self) -> i64 {
        self.available
    }
}
