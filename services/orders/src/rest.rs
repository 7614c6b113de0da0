//! The door: decode, call, encode.

mod params;
mod v2;

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
};
use chassis::{
    auth::Caller,
    extract::{Json, Path, Query},
    openapi::{COMMON, DocumentError, Info, Routes, routes},
    page::{List, PageParams, PageSize},
};
use contracts::{problems, rest};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use uuid::Uuid;

use params::{Idempotency, LastEvent, OrderId, UserId};

use crate::{
    app::App,
    batch::{self, UserIds},
    domain::Order,
    error::Error,
    idempotency::{IdempotencyKey, REPLAYED_HEADER},
    request::OrderRequest,
    sse,
    use_cases::{
        cancel::cancel,
        look,
        place::{Answer, place},
        watch::watch,
    },
    view::{self, Version},
};

/// The largest body, in bytes.
pub(crate) const BODY_LIMIT: usize = contracts::limits::PASSED_ON_BODY_BYTES_MAX;

/// Every route of this service.
pub(crate) fn router(app: App) -> Router {
    let v1 = described().router();
    v1.merge(v2::described().router()).with_state(app)
}

/// The OpenAPI document of version 1 of this service.
///
/// # Errors
/// If the descriptions of the routes are inconsistent, which is a bug of this service.
pub fn document() -> Result<serde_json::Value, DocumentError> {
    described().document(&info(Version::V1))
}

/// The same of version 2.
///
/// # Errors
/// If the descriptions of the routes are inconsistent, which is a bug of this service.
pub fn document_v2() -> Result<serde_json::Value, DocumentError> {
    v2::described().document(&info(Version::V2))
}

fn info(version: Version) -> Info {
    Info {
        title: "Orders",
        version: version.number(),
        description: "Orders and what became of them. Called by the gateway, which passes it on, and by other services.",
        refusals: COMMON,
        kinds: || problems::all().copied().collect(),
    }
}

fn described() -> Routes<App> {
    Routes::below("/v1")
        .with(routes!(place_order, own_orders))
        .with(routes!(one_order, delete_order))
        .with(routes!(cancel_order))
        .with(routes!(order_events))
        .with(routes!(orders_of_user))
        .with(routes!(orders_of_users))
}

/// Places an order.
///
/// It is accepted as `pending`; whether there is stock is decided at once and asynchronously. With an `Idempotency-Key` a
/// repeated request gets the first answer and places no second order.
#[utoipa::path(post, path = "/orders", operation_id = "placeOrder", tag = "orders", security(("bearer" = [])),
    params(Idempotency),
    request_body(content = rest::NewOrder, example = json!({"items": [
        {"product_id": "0192d6f0-0000-7000-8000-000000000001", "quantity": 2}]})),
    responses((status = 201, description = "The order, accepted.", body = rest::Order, headers(
        ("Location" = String, description = "Where the order is."),
        ("Idempotency-Replayed" = String, description = "`true` if this answer was given before.")))),
    extensions(("x-problems" = json!(["idempotency-key-reused", "idempotency-key-running", "bad-gateway"]))))]
async fn place_order(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Json(request): Json<OrderRequest>,
) -> Result<Response, Error> {
    place_in(Version::V1, &app, &caller, &headers, request).await
}

/// Places an order and answers in the form of this version.
async fn place_in(
    version: Version,
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    request: OrderRequest,
) -> Result<Response, Error> {
    let key = IdempotencyKey::from_headers(headers)?;
    let answer = place(app, caller, key, request, version).await?;
    Ok(answer.into_response())
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let location = format!("/{}/orders/{}", self.version.segment(), self.order_id);
        let mut response = (self.status, self.body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if let Ok(location) = HeaderValue::try_from(location) {
            headers.insert(header::LOCATION, location);
        }
        if self.replayed {
            headers.insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
        }
        response
    }
}

/// One order.
#[utoipa::path(get, path = "/orders/{id}", operation_id = "getOrder", tag = "orders", security(("bearer" = [])),
    params(OrderId),
    responses((status = 200, description = "The order.", body = rest::Order)))]
async fn one_order(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<rest::Order>, Error> {
    let order = look::one(&app, &caller, parse_id(&id)?).await?;
    Ok(axum::Json(view::order(&order)))
}

/// Takes an order back; the same as `POST /orders/{id}/cancel`.
#[utoipa::path(delete, path = "/orders/{id}", operation_id = "deleteOrder", tag = "orders", security(("bearer" = [])),
    params(OrderId),
    responses((status = 200, description = "The order, cancelled.", body = rest::Order)),
    extensions(("x-problems" = json!(["conflict"]))))]
async fn delete_order(
    app: State<App>,
    caller: Caller,
    id: Path<String>,
) -> Result<axum::Json<rest::Order>, Error> {
    cancel_order(app, caller, id).await
}

/// Takes an order back, while that can still be done. Repeating it is no error.
#[utoipa::path(post, path = "/orders/{id}/cancel", operation_id = "cancelOrder", tag = "orders", security(("bearer" = [])),
    params(OrderId),
    responses((status = 200, description = "The order, cancelled.", body = rest::Order)),
    extensions(("x-problems" = json!(["conflict"]))))]
async fn cancel_order(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<rest::Order>, Error> {
    let order = cancel(&app, &caller, parse_id(&id)?).await?;
    Ok(axum::Json(view::order(&order)))
}

/// What changes in an order, as it happens; 204 if there is nothing more to come, which tells a browser to stop asking.
#[utoipa::path(get, path = "/orders/{id}/events", operation_id = "watchOrder", tag = "orders", security(("bearer" = [])),
    params(OrderId, LastEvent),
    responses(
        (status = 200, description = "Server-sent events: `id` is the change's sequence, `data` the change.",
            body = rest::OrderChange, content_type = "text/event-stream"),
        (status = 204, description = "The order can change no more, and all changes have been seen.")),
    extensions(("x-problems" = json!(["too-many-requests"]))))]
async fn order_events(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    watch_in(Version::V1, &app, &caller, &id, &headers).await
}

/// Streams the changes of an order in the form of this version.
async fn watch_in(
    version: Version,
    app: &App,
    caller: &Caller,
    id: &str,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let after = sse::last_event_id(headers)?;
    // The caller is another service, whose address does not identify the reader.
    let place = app.streams.enter(Some(caller.user_id), None)?;
    let reader = watch(app, caller, parse_id(id)?, after).await?;
    Ok(match reader {
        Some(reader) => place.hold(sse::answer(reader, app.heartbeat, version)),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// Ids are read as text: an id that is not a UUID belongs to nothing, which is 404 and not 400.
fn parse_id(text: &str) -> Result<Uuid, Error> {
    text.parse().map_err(|_| Error::NotFound)
}

/// Which page of a list.
#[derive(Debug, Deserialize)]
struct PageQuery {
    page_size: Option<String>,
    page_token: Option<String>,
}

/// A customer's orders, page by page. A token holds the last order of the page before.
const ORDERS: List<Uuid> = List::new("orders.1");

/// The caller's own orders, newest first.
#[utoipa::path(get, path = "/orders", operation_id = "listOrders", tag = "orders", security(("bearer" = [])),
    params(PageParams),
    responses((status = 200, description = "A page of orders.", body = rest::OrderPage)))]
async fn own_orders(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<rest::OrderPage>, Error> {
    let user_id = caller.user_id;
    list(&app, &caller, user_id, query).await
}

/// A user's orders, newest first: for the user and for administrators.
#[utoipa::path(get, path = "/users/{id}/orders", operation_id = "listUserOrders", tag = "orders", security(("bearer" = [])),
    params(UserId, PageParams),
    responses((status = 200, description = "A page of orders.", body = rest::OrderPage)))]
async fn orders_of_user(
    State(app): State<App>,
    caller: Caller,
    Path(user_id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<rest::OrderPage>, Error> {
    list(&app, &caller, parse_id(&user_id)?, query).await
}

/// Which users' orders, and which page of each.
#[derive(Debug, Deserialize)]
struct UsersQuery {
    ids: Option<String>,
    page_size: Option<String>,
    before: Option<String>,
}

/// The same page for several users in one call: for whoever shows many of them at once.
#[utoipa::path(get, path = "/users/orders", operation_id = "listOrdersOfUsers", tag = "orders", security(("bearer" = [])),
    params(
        ("ids" = String, Query, description = "The users' ids, with commas between them; each once."),
        ("page_size" = Option<u32>, Query, nullable = false, minimum = 1, maximum = 100,
            description = "How many orders of each; 20 if it is left out."),
        ("before" = Option<Uuid>, Query, nullable = false, description = "Orders older than this one.")),
    responses((status = 200, description = "A page of orders for each user.", body = rest::OrdersOfUsers)))]
async fn orders_of_users(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<UsersQuery>,
) -> Result<axum::Json<rest::OrdersOfUsers>, Error> {
    let pages = pages(&app, &caller, &query).await?;
    let users = pages.into_iter().map(|page| rest::OrdersOfUser {
        user_id: page.user_id,
        orders: page.orders.iter().map(view::order).collect(),
        more: page.more,
    });
    Ok(axum::Json(rest::OrdersOfUsers {
        users: users.collect(),
    }))
}

/// Reads the requested pages, for either version.
async fn pages(
    app: &App,
    caller: &Caller,
    query: &UsersQuery,
) -> Result<Vec<look::PageOfUser>, Error> {
    let size = PageSize::parse(query.page_size.as_deref())?;
    let ids = UserIds::parse(query.ids.as_deref().unwrap_or_default(), size)?;
    let before = query.before.as_deref().map(batch::order_id).transpose()?;
    look::pages(app, caller, ids.into_vec(), size, before).await
}

async fn list(
    app: &App,
    caller: &Caller,
    user_id: Uuid,
    query: PageQuery,
) -> Result<axum::Json<rest::OrderPage>, Error> {
    let (orders, next_page_token) = page(app, caller, user_id, query).await?;
    Ok(axum::Json(rest::OrderPage {
        orders: orders.iter().map(view::order).collect(),
        next_page_token,
    }))
}

/// One page, and the token of the next. Both versions have the same tokens.
async fn page(
    app: &App,
    caller: &Caller,
    user_id: Uuid,
    query: PageQuery,
) -> Result<(Vec<Order>, Option<String>), Error> {
    let size = PageSize::parse(query.page_size.as_deref())?;
    let before = ORDERS.position(query.page_token.as_deref())?;
    let (orders, next) = look::page(app, caller, user_id, size, before).await?;
    let next = next.map(|last| ORDERS.token(&last)).transpose()?;
    Ok((orders, next))
}
