//! Orders over REST and products over REST and gRPC, which count what they are asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use chassis::problem::{FieldError, Problem};
use contracts::products::v1::catalog_service_server::{CatalogService, CatalogServiceServer};
use contracts::products::v1::{
    GetProductsRequest, GetProductsResponse, Product, QuoteRequest, QuoteResponse,
};
use contracts::{identity, problems};
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::serve;

/// How many products there are; their ids are 1 to this.
pub(crate) const GOODS: u128 = 8;
/// Orders that each user has, with two lines each.
const ORDERS: u128 = 5;

/// A size of a page of orders that is refused.
pub(crate) const UNLUCKY: usize = 13;
/// The order that was rejected.
pub(crate) const REJECTED: u128 = 99;

/// What the fakes do, and what they saw.
#[derive(Default)]
pub(crate) struct FakeGoods {
    /// Each call, in order: what was called, and with how many ids.
    calls: Mutex<Vec<(&'static str, usize)>>,
    /// `traceparent` of the last GetProducts.
    pub(crate) traceparent: Mutex<Option<String>>,
    /// `idempotency-key` of the last order.
    pub(crate) key: Mutex<Option<String>>,
    /// Bytes that are added to the answer about several users' orders.
    pub(crate) padding: AtomicUsize,
    /// GetProducts never answers.
    pub(crate) hangs: AtomicBool,
    /// Breaks the connection of who watches the order 2 for the first time.
    pub(crate) breaks: Notify,
}

#[derive(Clone)]
struct Served(Arc<FakeGoods>);

impl FakeGoods {
    /// Serves on free ports: REST, and gRPC.
    pub(crate) async fn serve(self: &Arc<Self>) -> (SocketAddr, SocketAddr) {
        let rest = Router::new()
            .route("/v2/users/orders", get(orders_of_users))
            .route("/v2/orders", post(place))
            .route("/v2/batch/orders", get(orders_by_ids))
            .route("/v2/orders/{id}/cancel", post(cancel))
            .route("/v2/orders/{id}/events", get(events))
            .route("/v1/products", get(browse))
            .with_state(Arc::clone(self));
        let limits = chassis::limits::Limits::default();
        let rest = serve(
            chassis::http::standard(identity::service("goods"), usize::MAX, limits).around(rest),
        )
        .await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let grpc = listener.local_addr().unwrap();
        let serving = Server::builder()
            .add_service(CatalogServiceServer::new(Served(Arc::clone(self))))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(async move { serving.await.unwrap() });
        (rest, grpc)
    }

    fn note(&self, call: &'static str, ids: usize) {
        self.calls.lock().push((call, ids));
    }

    /// What was called since the last time.
    pub(crate) fn calls(&self) -> Vec<(&'static str, usize)> {
        std::mem::take(&mut *self.calls.lock())
    }
}

type Goods = State<Arc<FakeGoods>>;

/// The order `n` of a user; the newest is the highest.
fn order(user_id: Uuid, n: u128) -> Value {
    let money = |amount: i64| json!({ "amount": amount, "currency": "EUR" });
    let line = |product: u128| json!({ "product_id": Uuid::from_u128(product), "quantity": 2, "unit_price": money(250) });
    json!({
        "id": Uuid::from_u128(n), "user_id": user_id, "status": "confirmed",
        "items": [line(n % GOODS + 1), line((n + 1) % GOODS + 1)], "total": money(1000),
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    })
}

/// Whose the order `n` is: from 100 on, each user has a hundred of them; the first is a user who does not exist.
fn owner(n: u128) -> Uuid {
    match n {
        100..100_000 => Uuid::from_u128(n / 100 - 1),
        _ => Uuid::max(),
    }
}

#[derive(serde::Deserialize)]
struct UsersQuery {
    ids: String,
    page_size: usize,
    before: Option<Uuid>,
}

async fn orders_of_users(
    State(goods): Goods,
    headers: HeaderMap,
    Query(query): Query<UsersQuery>,
) -> Result<Json<Value>, Problem> {
    if !headers.contains_key("authorization") {
        return Err(Problem::unauthorized());
    }
    let ids: Vec<Uuid> = query.ids.split(',').map(|id| id.parse().unwrap()).collect();
    goods.note("orders of users", ids.len());
    if query.page_size == UNLUCKY {
        return Err(Problem::bad_request("not this many"));
    }
    let last = query.before.map_or(ORDERS, |id| id.as_u128() - 1);
    let users = ids.iter().map(|user_id| {
        let all = (1..=last).rev().map(|n| order(*user_id, n));
        let orders: Vec<_> = all.take(query.page_size).collect();
        json!({ "user_id": user_id, "orders": orders, "more": last as usize > query.page_size })
    });
    let padding = "x".repeat(goods.padding.load(Ordering::Relaxed));
    Ok(Json(
        json!({ "users": users.collect::<Vec<_>>(), "padding": padding }),
    ))
}

async fn place(
    State(goods): Goods,
    headers: HeaderMap,
    Json(wish): Json<Value>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    goods.note("place", 1);
    let key = headers.get("idempotency-key");
    *goods.key.lock() = key.map(|key| key.to_str().unwrap().to_owned());
    if wish["items"].as_array().unwrap().is_empty() {
        let error = FieldError::new("/items/0/product_id", "there must be one");
        return Err(Problem::unprocessable(vec![error]));
    }
    if goods.key.lock().as_deref() == Some("reused") {
        return Err(Problem::unprocessable(Vec::new()).with_kind(problems::IDEMPOTENCY_KEY_REUSED));
    }
    let mut placed = order(Uuid::max(), 1);
    if let Some(address) = wish.get("shipping_address") {
        placed["shipping_address"] = address.clone();
    }
    Ok((StatusCode::CREATED, Json(placed)))
}

#[derive(serde::Deserialize)]
struct IdsQuery {
    ids: String,
}

/// All but the order of no id.
async fn orders_by_ids(
    State(goods): Goods,
    headers: HeaderMap,
    Query(query): Query<IdsQuery>,
) -> Result<Json<Value>, Problem> {
    if !headers.contains_key("authorization") {
        return Err(Problem::unauthorized());
    }
    let ids: Vec<Uuid> = query.ids.split(',').map(|id| id.parse().unwrap()).collect();
    goods.note("orders", ids.len());
    let known = ids.iter().filter(|id| !id.is_nil());
    let orders: Vec<_> = known.map(|id| one(*id)).collect();
    Ok(Json(json!({ "orders": orders })))
}

fn one(id: Uuid) -> Value {
    let n = id.as_u128();
    let mut order = order(owner(n), n);
    if n == REJECTED {
        order["status"] = json!("rejected");
        order["reason"] = json!({ "code": "stock_rejected", "text": "only 1 left" });
    }
    order
}

async fn cancel(State(goods): Goods, Path(id): Path<Uuid>) -> Result<Json<Value>, Problem> {
    goods.note("cancel", 1);
    if id.is_nil() {
        return Err(Problem::conflict("it is too late"));
    }
    Ok(Json(order(Uuid::max(), id.as_u128())))
}

/// Three changes, 1 to 3, after the one that the reader has; then there is nothing more to come. The connection can break once,
/// behind the second, for the order 2; nothing comes any more for the order 3, and no end.
async fn events(
    State(goods): Goods,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Result<axum::response::Response, Problem> {
    if !headers.contains_key("authorization") {
        return Err(Problem::unauthorized());
    }
    if id.is_nil() {
        return Err(Problem::not_found());
    }
    goods.note("events", 1);
    let traceparent = headers.get("traceparent");
    *goods.traceparent.lock() = traceparent.map(|it| it.to_str().unwrap().to_owned());
    let last = headers.get("last-event-id");
    let last: u64 = last.map_or(0, |last| last.to_str().unwrap().parse().unwrap());
    if last >= 3 {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let breaks = id.as_u128() == 2 && last == 0;
    let pieces = stream::iter(last + 1..=3).then(move |n| {
        let goods = Arc::clone(&goods);
        async move {
            if breaks && n == 3 {
                goods.breaks.notified().await;
                return Err(std::io::Error::other("the connection broke"));
            }
            let change = json!({
                "order_id": id, "sequence": n, "status": "pending", "changed_at": "2026-01-01T00:00:00Z",
            });
            Ok(format!("retry:10\nid:{n}\nevent:pending\ndata:{change}\n\n"))
        }
    });
    let silence = stream::pending().take(usize::from(id.as_u128() == 3));
    let body = axum::body::Body::from_stream(pieces.chain(silence));
    Ok(([("content-type", "text/event-stream")], body).into_response())
}

#[derive(serde::Deserialize)]
struct BrowseQuery {
    page_size: usize,
    after: Option<Uuid>,
    q: Option<String>,
}

async fn browse(State(goods): Goods, Query(query): Query<BrowseQuery>) -> Json<Value> {
    goods.note("browse", query.page_size);
    let first = query.after.map_or(0, |id| id.as_u128()) + 1;
    let name = query.q.unwrap_or_else(|| "A lamp".to_owned());
    let all = (first..=GOODS).map(|n| {
        json!({
            "id": Uuid::from_u128(n), "name": name, "description": "It shines.", "price": 250,
            "currency": "EUR", "available": 5_000_000_000_u64,
        })
    });
    let products: Vec<_> = all.take(query.page_size).collect();
    let more = first as usize - 1 + products.len() < GOODS as usize;
    let next = more.then_some("next");
    Json(json!({ "products": products, "next_page_token": next }))
}

#[tonic::async_trait]
impl CatalogService for Served {
    async fn quote(&self, _: Request<QuoteRequest>) -> Result<Response<QuoteResponse>, Status> {
        Err(Status::unimplemented("nobody asks for it here"))
    }

    async fn get_products(
        &self,
        request: Request<GetProductsRequest>,
    ) -> Result<Response<GetProductsResponse>, Status> {
        let traceparent = request.metadata().get("traceparent");
        *self.0.traceparent.lock() = traceparent.map(|it| it.to_str().unwrap().to_owned());
        if self.0.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let ids = request.into_inner().ids;
        self.0.note("products", ids.len());
        let known = |id: &String| (1..=GOODS).contains(&id.parse::<Uuid>().unwrap().as_u128());
        let product = |id: String| Product {
            name: format!("Product {}", id.parse::<Uuid>().unwrap().as_u128()),
            id,
            price: 250,
            currency: "EUR".to_owned(),
            ..Default::default()
        };
        let products = ids.into_iter().filter(known).map(product).collect();
        Ok(Response::new(GetProductsResponse { products }))
    }
}
