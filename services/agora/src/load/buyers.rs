//! The buyers: new customers, so that their orders are not mixed up with others.

use client::{Address, CallContext, CallError, Events, Peer, RestClient};
use http::StatusCode;
use rand::distr::{Alphanumeric, SampleString};
use serde_json::{Value, json};

use crate::failure::Failure;

/// The number of buyers. The gateway processes only a few dozen requests of one customer at a time, so several are needed to
/// reach the shop's own limits.
const BUYERS: usize = 8;
/// No retries and no limits of the client, which would hide the shop's behaviour. The deadline exceeds all of the shop's own.
const ASKED: &str = "deadline=20s,attempt=20s,connect=5s,retries=0,breaker=off,bulkhead=10000+1/1s";
/// The products that are bought in turn: the first page of the catalogue.
const GOODS: &str = "/api/products?page_size=100";

/// The result of an attempt to cancel an order.
pub(super) enum Cancel {
    /// It is cancelled.
    Done,
    /// It cannot be cancelled, e.g. because it was rejected: there is no stock to return.
    Never,
    /// The attempt failed, and may be repeated.
    NotNow,
}

/// Customers, and the products that they buy.
pub(crate) struct Buyers {
    shop: RestClient,
    buyers: Vec<CallContext>,
    goods: Vec<String>,
}

impl Buyers {
    /// Signs them up.
    ///
    /// # Errors
    /// If a sign-up fails, or there is nothing for sale.
    pub(crate) async fn sign_up(shop: &Address) -> Result<Self, Failure> {
        let asked = ASKED.parse().map_err(Failure::new)?;
        let shop = RestClient::new(Peer::new("shop", shop.clone(), asked).called_by("load"));
        let page: Value = shop
            .get(GOODS, &CallContext::default())
            .await
            .map_err(|error| failed("the goods cannot be read", &error))?;
        let mut goods: Vec<(i64, String)> = page["products"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|good| Some((good["available"].as_i64()?, good["id"].as_str()?.to_owned())))
            .filter(|(available, _)| *available > 0)
            .collect();
        if goods.is_empty() {
            return Err(Failure::new("the shop has nothing to sell"));
        }
        // Products with little stock are left to people.
        goods.sort_unstable();
        let goods = goods.split_off(goods.len() / 2);
        let mut buyers = Vec::with_capacity(BUYERS);
        for _ in 0..BUYERS {
            buyers.push(sign_up(&shop).await?);
        }
        Ok(Self {
            shop,
            buyers,
            goods: goods.into_iter().map(|(_, id)| id).collect(),
        })
    }

    /// Orders one piece: the order's id, or the kind of failure.
    pub(crate) async fn order(&self, number: usize) -> Result<String, String> {
        let product = &self.goods[number % self.goods.len()];
        let order = json!({"items": [{"product_id": product, "quantity": 1}]});
        let placed = self.shop.post("/api/orders", &order, self.buyer(number));
        let placed: Value = placed.await.map_err(|error| kind(&error))?;
        placed["id"]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| "no_id".to_owned())
    }

    /// Waits until the order with this number is decided, by reading the stream of its changes as its customer would. False if
    /// the stream fails.
    pub(super) async fn decided(&self, number: usize, id: &str) -> bool {
        let path = format!("/api/orders/{id}/events");
        let context = self.buyer(number).clone();
        let events = Events::<Value>::open(self.shop.clone(), path, None, context);
        let Ok(mut events) = events.await else {
            return false;
        };
        while let Some(Ok(event)) = events.next().await {
            if event["status"] != "pending" {
                return true;
            }
        }
        false
    }

    /// Cancels the order that was sent under this number.
    pub(super) async fn cancel(&self, number: usize, id: &str) -> Cancel {
        let path = format!("/api/orders/{id}/cancel");
        let cancelled = self.shop.post_empty::<Value>(&path, self.buyer(number));
        match cancelled.await {
            Ok(_) => Cancel::Done,
            Err(CallError::Problem(problem)) if StatusCode::CONFLICT == problem.status => {
                Cancel::Never
            }
            Err(_) => Cancel::NotNow,
        }
    }

    fn buyer(&self, number: usize) -> &CallContext {
        // Another step than that of the products, so that every buyer buys every product.
        &self.buyers[number / self.goods.len() % self.buyers.len()]
    }
}

async fn sign_up(shop: &RestClient) -> Result<CallContext, Failure> {
    let secret = |length| Alphanumeric.sample_string(&mut rand::rng(), length);
    let (email, password) = (
        format!("load-{}@agora.example", secret(16).to_lowercase()),
        secret(24),
    );
    let nobody = CallContext::default();
    let user = json!({"email": email, "name": "Load", "password": password});
    let signed_up: Result<Value, _> = shop.post("/api/users", &user, &nobody).await;
    signed_up.map_err(|error| failed("nobody can sign up", &error))?;
    let credentials = json!({"email": email, "password": password});
    let session: Result<Value, _> = shop.post("/api/sessions", &credentials, &nobody).await;
    let session = session.map_err(|error| failed("nobody can sign in", &error))?;
    let token = session["access_token"].as_str();
    let token = token.ok_or_else(|| Failure::new("the shop gives no token"))?;
    Ok(CallContext::bearer(token))
}

fn failed(what: &str, error: &CallError) -> Failure {
    Failure::new(format!("{what}: {error}"))
}

/// The kind of a failure: the status, or the error without an answer.
fn kind(error: &CallError) -> String {
    match error {
        CallError::Problem(problem) => problem.status.to_string(),
        CallError::Unavailable { .. } => "unavailable".to_owned(),
        CallError::Timeout { .. } => "timeout".to_owned(),
        CallError::Rejected { .. } => "not_sent".to_owned(),
        _ => "unreadable".to_owned(),
    }
}
