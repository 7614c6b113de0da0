//! GraphQL: what it answers, to whom, at what cost, and what it refuses.

mod bombs;
mod changes;
mod crowd;
mod directives;
mod door;
mod live;
mod merged;
mod partial;
mod reads;
mod room;
mod schema;
mod socket;
mod unread;
mod which;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chassis::auth::Role;
use contracts::identity::CUSTOMER;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Call, FakeGoods, FakeUsers, TestGateway, start_among, token_for};

pub(crate) const ME: Uuid = Uuid::max();

/// A gateway among neighbours that count.
pub(crate) struct Graph {
    pub(crate) gateway: TestGateway,
    pub(crate) users: Arc<FakeUsers>,
    pub(crate) goods: Arc<FakeGoods>,
}

impl Graph {
    pub(crate) async fn start() -> Self {
        Self::start_with(FakeUsers::default(), &[]).await
    }

    pub(crate) async fn start_with(users: FakeUsers, flags: &[&str]) -> Self {
        let goods = Arc::<FakeGoods>::default();
        let (rest, grpc) = goods.serve().await;
        let (at, users) = users.serve().await;
        let gateway = start_at(at, rest, rest, grpc, flags).await;
        Self {
            gateway,
            users,
            goods,
        }
    }

    /// What the query answers to somebody with this role; there must be no error.
    pub(crate) async fn ask_as(&self, role: Role, query: &str) -> Value {
        let answer = self.post(&json!({ "query": query }));
        let answer = answer.token(&token_for(ME, role)).send().await.ok(200);
        assert_eq!(answer["errors"], Value::Null, "{answer}");
        answer["data"].clone()
    }

    pub(crate) async fn ask(&self, query: &str) -> Value {
        self.ask_as(CUSTOMER, query).await
    }

    /// The code of the one error of the field, which is null.
    pub(crate) async fn code_of(&self, token: Option<&str>, field: &str, query: &str) -> String {
        let call = self.post(&json!({ "query": query }));
        let call = match token {
            Some(token) => call.token(token),
            None => call,
        };
        let answer = call.send().await.ok(200);
        assert_eq!(answer["data"][field], Value::Null, "{answer}");
        assert_eq!(answer["errors"].as_array().unwrap().len(), 1, "{answer}");
        assert_eq!(answer["errors"][0]["path"], json!([field]), "{answer}");
        let code = &answer["errors"][0]["extensions"]["code"];
        code.as_str()
            .unwrap_or_else(|| panic!("{answer}"))
            .to_owned()
    }

    pub(crate) fn post(&self, body: &Value) -> Call {
        self.gateway.post("/graphql").json(body)
    }

    /// How often users was asked.
    pub(crate) fn users_asked(&self) -> usize {
        self.users.users_asked.swap(0, Ordering::Relaxed)
    }

    /// How many users each of its batched calls named.
    pub(crate) fn batches(&self) -> Vec<usize> {
        std::mem::take(&mut *self.users.batches.lock())
    }
}

/// A gateway whose neighbours are at these addresses.
pub(crate) async fn start_at(
    users: SocketAddr,
    orders: SocketAddr,
    products: SocketAddr,
    catalog: SocketAddr,
    flags: &[&str],
) -> TestGateway {
    let catalog = format!("--products-grpc-url=http://{catalog}");
    let flags = [&[catalog.as_str()], flags].concat();
    start_among(users, orders, products, &flags).await
}
