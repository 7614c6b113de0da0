//! Orders and products, as far as a gateway can tell.

use std::net::SocketAddr;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use chassis::limits::Limits;
use chassis::problem::{FieldError, Problem};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

/// Serves a router on a free port until the test ends.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// Orders and products in one.
#[derive(Clone, Default)]
pub(crate) struct FakeShop {
    /// Products that the user has ordered.
    pub(crate) ordered: Vec<Uuid>,
    /// What is for sale: id and how many there are.
    pub(crate) for_sale: Vec<(Uuid, i64)>,
}

impl FakeShop {
    /// Serves on a free port.
    pub(crate) async fn serve(self) -> SocketAddr {
        let router = Router::new()
            .route("/v1/orders", post(place).get(echo))
            .route("/v1/orders/problem", any(problem))
            .route("/v1/orders/absolute", any(absolute))
            .route("/v1/orders/endless", any(endless))
            .route("/v1/orders/{*rest}", any(echo))
            .route("/v1/users/{id}/orders", get(orders))
            .route("/v1/products", get(products))
            .route("/v1/products/{*rest}", any(echo))
            .route("/v2/orders/{*rest}", any(echo))
            .route("/v2/users/{id}/orders", get(orders_v2))
            .route("/v2/products", get(products_v2))
            .route("/v2/products/{*rest}", any(echo))
            .with_state(self);
        serve(chassis::http::standard("shop", usize::MAX, Limits::default()).around(router)).await
    }
}

/// Says what arrived.
async fn echo(request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return StatusCode::BAD_REQUEST.into_response(),
    };
    let headers: serde_json::Map<String, Value> = head
        .headers
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                json!(String::from_utf8_lossy(value.as_bytes())),
            )
        })
        .collect();
    let seen = json!({
        "method": head.method.as_str(), "uri": head.uri.to_string(), "headers": headers,
        "body": String::from_utf8_lossy(&body), "bytes": body.len(),
    });
    (
        [
            ("x-from", "shop"),
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
        ],
        Json(seen),
    )
        .into_response()
}

/// A head, and a body that never comes.
async fn endless() -> Response {
    Response::new(Body::from_stream(futures::stream::pending::<
        std::io::Result<Bytes>,
    >()))
}

async fn place() -> impl IntoResponse {
    (
        StatusCode::CREATED,
        [(header::LOCATION, "/v1/orders/17")],
        "placed",
    )
}

async fn absolute(headers: HeaderMap) -> impl IntoResponse {
    let host = headers[header::HOST].to_str().unwrap();
    (
        StatusCode::SEE_OTHER,
        [(header::LOCATION, format!("http://{host}/v1/orders/17"))],
    )
}

async fn problem() -> Problem {
    Problem::unprocessable(vec![FieldError::new("/items/0/quantity", "at least 1")])
}

async fn orders(State(shop): State<FakeShop>) -> Json<Value> {
    let items: Vec<_> = shop
        .ordered
        .iter()
        .map(|id| json!({ "product_id": id, "quantity": 1, "unit_price": 250 }))
        .collect();
    let order = json!({
        "id": Uuid::max(), "user_id": Uuid::nil(), "status": "confirmed", "items": items, "total_amount": 250,
        "currency": "EUR", "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    });
    Json(json!({ "orders": [order], "next_page_token": null }))
}

/// The page that was asked for is in its token.
async fn orders_v2(State(shop): State<FakeShop>, request: Request) -> Json<Value> {
    let price = json!({ "amount": 250, "currency": "EUR" });
    let items: Vec<_> = shop
        .ordered
        .iter()
        .map(|id| json!({ "product_id": id, "quantity": 1, "unit_price": price }))
        .collect();
    let order = json!({
        "id": Uuid::max(), "user_id": Uuid::nil(), "status": "rejected", "items": items, "total": price,
        "shipping_address": { "name": "Ada", "street": "1 Way", "city": "London", "country": "GB" },
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        "reason": { "code": "stock_rejected", "text": "sold out" },
    });
    Json(json!({ "orders": [order], "next_page_token": request.uri().query() }))
}

async fn products_v2(State(shop): State<FakeShop>) -> Json<Value> {
    let product = |(id, available): &(Uuid, i64)| {
        json!({
            "id": id, "name": "A lamp", "description": "It shines.",
            "price": { "amount": 250, "currency": "EUR" }, "available": available,
        })
    };
    Json(
        json!({ "products": shop.for_sale.iter().map(product).collect::<Vec<_>>(), "next_page_token": null }),
    )
}

async fn products(State(shop): State<FakeShop>) -> Json<Value> {
    let product = |(id, available): &(Uuid, i64)| {
        json!({
            "id": id, "name": "A lamp", "description": "It shines.", "price": 250, "currency": "EUR",
            "available": available,
        })
    };
    Json(
        json!({ "products": shop.for_sale.iter().map(product).collect::<Vec<_>>(), "next_page_token": null }),
    )
}
