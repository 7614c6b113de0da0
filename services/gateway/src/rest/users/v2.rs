//! What version 2 shows of users in another form: their orders.

use axum::extract::State;
use axum::{Extension, Json as Answer};
use chassis::auth::Caller;
use chassis::extract::{Path, Query};
use chassis::openapi::{Routes, routes};
use chassis::page::PageParams;
use contracts::rest::v2::OrderPage;
use uuid::Uuid;

use super::{PageQuery, Shared, visible};
use crate::error::Error;
use crate::limits::calls::Calls;

pub(in crate::rest) fn orders_routes(root: &str) -> Routes<Shared> {
    Routes::below(root).with(routes!(orders))
}

/// A user's orders, newest first: one's own, or anybody's for an administrator.
#[utoipa::path(get, path = "/users/{id}/orders", operation_id = "listUserOrders", tag = "users",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The user's id."), PageParams),
    responses((status = 200, description = "A page of orders.", body = OrderPage)))]
async fn orders(
    State(gateway): State<Shared>,
    caller: Caller,
    Extension(calls): Extension<Calls>,
    Path(id): Path<Uuid>,
    Query(page): Query<PageQuery>,
) -> Result<Answer<OrderPage>, Error> {
    visible(&caller, id)?;
    let (size, token) = page.parse()?;
    // From orders itself: the gRPC of users is in the form of version 1.
    let orders = gateway.orders.v2();
    let page = orders.of_user(&caller.token, id, Some(size.get()), token.as_deref());
    Ok(Answer(calls.make("orders", page).await?))
}
