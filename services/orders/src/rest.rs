//! The door: decode, call, encode.

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chassis::{
    auth::Caller,
    extract::{Json, Path, Query},
    page::{List, PageSize},
};
use contracts::rest;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    app::App,
    batch::{self, UserIds},
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
    view,
};

/// The largest body, in bytes: fifty lines take about five thousand.
pub(crate) const BODY_LIMIT: usize = 64 * 1024;

/// Every route of this service.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/v1/orders", post(place_order).get(own_orders))
        .route("/v1/orders/{id}", get(one_order).delete(cancel_order))
        .route("/v1/orders/{id}/cancel", post(cancel_order))
        .route("/v1/orders/{id}/events", get(order_events))
        .route("/v1/users/{id}/orders", get(orders_of_user))
        .route("/v1/users/orders", get(orders_of_users))
        .with_state(app)
}

async fn place_order(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Json(request): Json<OrderRequest>,
) -> Result<Response, Error> {
    let key = IdempotencyKey::from_headers(&headers)?;
    let answer = place(&app, &caller, key, request).await?;
    Ok(answer.into_response())
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let location = format!("/v1/orders/{}", self.order_id);
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

async fn one_order(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<rest::Order>, Error> {
    let order = look::one(&app, &caller, parse_id(&id)?).await?;
    Ok(axum::Json(view::order(&order)))
}

async fn cancel_order(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<rest::Order>, Error> {
    let order = cancel(&app, &caller, parse_id(&id)?).await?;
    Ok(axum::Json(view::order(&order)))
}

/// What changes in an order, as it happens; 204 if there is nothing more to come, which tells a browser to stop asking.
async fn order_events(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let after = sse::last_event_id(&headers)?;
    // Whoever calls is another service: its address says nothing of the reader.
    let place = app.streams.enter(Some(caller.user_id), None)?;
    let reader = watch(&app, &caller, parse_id(&id)?, after).await?;
    Ok(match reader {
        Some(reader) => place.hold(sse::answer(reader, app.heartbeat)),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// Ids are read as text: what is no UUID is the id of nothing, which is 404 and not 400.
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

async fn own_orders(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<rest::OrderPage>, Error> {
    let user_id = caller.user_id;
    list(&app, &caller, user_id, query).await
}

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
async fn orders_of_users(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<UsersQuery>,
) -> Result<axum::Json<rest::OrdersOfUsers>, Error> {
    let size = PageSize::parse(query.page_size.as_deref())?;
    let ids = UserIds::parse(query.ids.as_deref().unwrap_or_default(), size)?;
    let before = query.before.as_deref().map(batch::order_id).transpose()?;
    let pages = look::pages(&app, &caller, ids.into_vec(), size, before).await?;
    let users = pages.into_iter().map(|page| rest::OrdersOfUser {
        user_id: page.user_id,
        orders: page.orders.iter().map(view::order).collect(),
        more: page.more,
    });
    Ok(axum::Json(rest::OrdersOfUsers {
        users: users.collect(),
    }))
}

async fn list(
    app: &App,
    caller: &Caller,
    user_id: Uuid,
    query: PageQuery,
) -> Result<axum::Json<rest::OrderPage>, Error> {
    let size = PageSize::parse(query.page_size.as_deref())?;
    let before = ORDERS.position(query.page_token.as_deref())?;
    let (orders, next) = look::page(app, caller, user_id, size, before).await?;
    Ok(axum::Json(rest::OrderPage {
        orders: orders.iter().map(view::order).collect(),
        next_page_token: next.map(|last| ORDERS.token(&last)).transpose()?,
    }))
}
