//! Version 2 of the door: the same calls, decoded and encoded in the form of version 2.

use axum::{extract::State, response::Response};
use chassis::{
    auth::Caller,
    extract::{Json, Path, Query},
    openapi::{Routes, routes},
    page::PageParams,
};
use contracts::rest::v2;
use http::HeaderMap;
use serde::Deserialize;
use uuid::Uuid;

use super::params::{Idempotency, LastEvent, OrderId, UserId};
use super::{PageQuery, UsersQuery, page, pages, parse_id, place_in, watch_in};
use crate::{
    app::App,
    batch,
    error::Error,
    request::OrderRequestV2,
    use_cases::{cancel::cancel, look},
    view::{self, Version},
};

/// The routes below `/v2`.
pub(super) fn described() -> Routes<App> {
    Routes::below("/v2")
        .with(routes!(place_order, own_orders))
        .with(routes!(one_order, delete_order))
        .with(routes!(cancel_order))
        .with(routes!(order_events))
        .with(routes!(orders_of_user))
        .with(routes!(orders_of_users))
        .with(routes!(orders_by_ids))
}

/// Places an order.
///
/// It is accepted as `pending`; whether there is stock is decided at once and asynchronously. With an `Idempotency-Key` a
/// repeated request gets the first answer and places no second order, also if the first one was made in version 1.
#[utoipa::path(post, path = "/orders", operation_id = "placeOrder", tag = "orders", security(("bearer" = [])),
    params(Idempotency),
    request_body(content = v2::NewOrder, example = json!({
        "items": [{"product_id": "0192d6f0-0000-7000-8000-000000000001", "quantity": 2}],
        "shipping_address": {"name": "Ada Lovelace", "street": "12 St James's Square", "postal_code": "SW1Y 4JH",
            "city": "London", "country": "GB"}})),
    responses((status = 201, description = "The order, accepted.", body = v2::Order, headers(
        ("Location" = String, description = "Where the order is."),
        ("Idempotency-Replayed" = String, description = "`true` if this answer was given before.")))),
    extensions(("x-problems" = json!(["idempotency-key-reused", "idempotency-key-running", "bad-gateway"]))))]
async fn place_order(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Json(request): Json<OrderRequestV2>,
) -> Result<Response, Error> {
    place_in(Version::V2, &app, &caller, &headers, request.into()).await
}

/// One order.
#[utoipa::path(get, path = "/orders/{id}", operation_id = "getOrder", tag = "orders", security(("bearer" = [])),
    params(OrderId),
    responses((status = 200, description = "The order.", body = v2::Order)))]
async fn one_order(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<v2::Order>, Error> {
    let order = look::one(&app, &caller, parse_id(&id)?).await?;
    Ok(axum::Json(view::v2::order(&order)))
}

/// Takes an order back; the same as `POST /orders/{id}/cancel`.
#[utoipa::path(delete, path = "/orders/{id}", operation_id = "deleteOrder", tag = "orders", security(("bearer" = [])),
    params(OrderId),
    responses((status = 200, description = "The order, cancelled.", body = v2::Order)),
    extensions(("x-problems" = json!(["conflict"]))))]
async fn delete_order(
    app: State<App>,
    caller: Caller,
    id: Path<String>,
) -> Result<axum::Json<v2::Order>, Error> {
    cancel_order(app, caller, id).await
}

/// Takes an order back, while that can still be done. Repeating it is no error.
#[utoipa::path(post, path = "/orders/{id}/cancel", operation_id = "cancelOrder", tag = "orders", security(("bearer" = [])),
    params(OrderId),
    responses((status = 200, description = "The order, cancelled.", body = v2::Order)),
    extensions(("x-problems" = json!(["conflict"]))))]
async fn cancel_order(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<v2::Order>, Error> {
    let order = cancel(&app, &caller, parse_id(&id)?).await?;
    Ok(axum::Json(view::v2::order(&order)))
}

/// What changes in an order, as it happens; 204 if there is nothing more to come, which tells a browser to stop asking.
#[utoipa::path(get, path = "/orders/{id}/events", operation_id = "watchOrder", tag = "orders", security(("bearer" = [])),
    params(OrderId, LastEvent),
    responses(
        (status = 200, description = "Server-sent events: `id` is the change's sequence, `data` the change.",
            body = v2::OrderChange, content_type = "text/event-stream"),
        (status = 204, description = "The order can change no more, and all changes have been seen.")),
    extensions(("x-problems" = json!(["too-many-requests"]))))]
async fn order_events(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    watch_in(Version::V2, &app, &caller, &id, &headers).await
}

/// The caller's own orders, newest first.
#[utoipa::path(get, path = "/orders", operation_id = "listOrders", tag = "orders", security(("bearer" = [])),
    params(PageParams),
    responses((status = 200, description = "A page of orders.", body = v2::OrderPage)))]
async fn own_orders(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<v2::OrderPage>, Error> {
    let user_id = caller.user_id;
    list(&app, &caller, user_id, query).await
}

/// A user's orders, newest first: for the user and for administrators.
#[utoipa::path(get, path = "/users/{id}/orders", operation_id = "listUserOrders", tag = "orders", security(("bearer" = [])),
    params(UserId, PageParams),
    responses((status = 200, description = "A page of orders.", body = v2::OrderPage)))]
async fn orders_of_user(
    State(app): State<App>,
    caller: Caller,
    Path(user_id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<v2::OrderPage>, Error> {
    list(&app, &caller, parse_id(&user_id)?, query).await
}

/// The same page for several users in one call: for whoever shows many of them at once.
#[utoipa::path(get, path = "/users/orders", operation_id = "listOrdersOfUsers", tag = "orders", security(("bearer" = [])),
    params(
        ("ids" = String, Query, description = "The users' ids, with commas between them; each once."),
        ("page_size" = Option<u32>, Query, nullable = false, minimum = 1, maximum = 100,
            description = "How many orders of each; 20 if it is left out."),
        ("before" = Option<Uuid>, Query, nullable = false, description = "Orders older than this one.")),
    responses((status = 200, description = "A page of orders for each user.", body = v2::OrdersOfUsers)))]
async fn orders_of_users(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<UsersQuery>,
) -> Result<axum::Json<v2::OrdersOfUsers>, Error> {
    let pages = pages(&app, &caller, &query).await?;
    let users = pages.into_iter().map(|page| v2::OrdersOfUser {
        user_id: page.user_id,
        orders: page.orders.iter().map(view::v2::order).collect(),
        more: page.more,
    });
    Ok(axum::Json(v2::OrdersOfUsers {
        users: users.collect(),
    }))
}

/// Which orders.
#[derive(Debug, Deserialize)]
struct IdsQuery {
    ids: Option<String>,
}

/// Several orders in one call: for whoever has only their ids.
///
/// One that the caller may not see is left out, like one that does not exist.
#[utoipa::path(get, path = "/batch/orders", operation_id = "getOrders", tag = "orders", security(("bearer" = [])),
    params(("ids" = String, Query, description = "The orders' ids, 1 to 100, with commas between them; each once.")),
    responses((status = 200, description = "The orders.", body = v2::OrdersByIds)))]
async fn orders_by_ids(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<IdsQuery>,
) -> Result<axum::Json<v2::OrdersByIds>, Error> {
    let ids = batch::order_ids(query.ids.as_deref().unwrap_or_default())?;
    let orders = look::several(&app, &caller, ids).await?;
    Ok(axum::Json(v2::OrdersByIds {
        orders: orders.iter().map(view::v2::order).collect(),
    }))
}

async fn list(
    app: &App,
    caller: &Caller,
    user_id: Uuid,
    query: PageQuery,
) -> Result<axum::Json<v2::OrderPage>, Error> {
    let (orders, next_page_token) = page(app, caller, user_id, query).await?;
    Ok(axum::Json(v2::OrderPage {
        orders: orders.iter().map(view::v2::order).collect(),
        next_page_token,
    }))
}
