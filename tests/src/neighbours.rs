//! Ordinary customers who use the shop while a hostile client attacks it. Promise 9 is about their calls: none may be refused.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use contracts::users::v1::GetUserRequest;
use contracts::users::v1::user_service_client::UserServiceClient;
use http::Response;
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

use crate::marketplace::Marketplace;
use crate::net::{self, Http1};
use crate::shop::{Customer, one_line};

/// The pause of a customer between two rounds.
const PAUSE: Duration = Duration::from_millis(100);
/// The time-out of a call. Longer than any deadline of the shop, so that its own refusal comes first.
const PATIENCE: Duration = Duration::from_secs(30);

/// One call of a neighbour.
#[derive(Debug, Clone)]
pub struct Call {
    /// Which of the usual calls.
    pub what: &'static str,
    /// From the call to the whole answer.
    pub took: Duration,
    /// Why it is not the answer that a customer expects.
    pub refused: Option<String>,
}

/// Somebody who shops, from one address.
#[derive(Debug, Clone)]
struct Neighbour {
    from: IpAddr,
    customer: Customer,
    product: String,
    gateway: SocketAddr,
    users: String,
}

/// Neighbours at work.
#[derive(Debug)]
pub struct Neighbours {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    rounds: AtomicUsize,
    calls: Mutex<Vec<Call>>,
}

/// Signs customers up, one at each of these addresses. Nothing is asked for on their behalf yet.
#[must_use]
pub fn sign_up(marketplace: &dyn Marketplace, addresses: &[IpAddr]) -> Settled {
    let shop = marketplace.shop();
    let goods = shop.catalogue();
    let most = goods.iter().max_by_key(|p| p["available"].as_i64());
    let product = most.and_then(|p| p["id"].as_str()).expect("goods");
    let neighbour = |from: &IpAddr| Neighbour {
        from: *from,
        customer: shop.customer(),
        product: product.to_owned(),
        gateway: net::address(&marketplace.endpoint("gateway")),
        users: marketplace.endpoint("users"),
    };
    Settled(addresses.iter().map(neighbour).collect())
}

/// Neighbours with an account each.
#[derive(Debug, Clone)]
pub struct Settled(Vec<Neighbour>);

impl Settled {
    /// Lets them shop, over and over, until they are stopped. Inside of a Tokio runtime.
    #[must_use]
    pub fn shop(&self) -> Neighbours {
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        for neighbour in self.0.clone() {
            let shared = Arc::clone(&shared);
            tasks.spawn(async move {
                while !shared.stop.load(Ordering::Relaxed) {
                    neighbour.round(&shared).await;
                    shared.rounds.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        Neighbours { shared, tasks }
    }
}

impl Neighbours {
    /// Waits until they have been round this many times more, all together.
    pub async fn rounds(&self, more: usize) {
        let enough = self.shared.rounds.load(Ordering::Relaxed) + more;
        while self.shared.rounds.load(Ordering::Relaxed) < enough {
            tokio::time::sleep(PAUSE / 4).await;
        }
    }

    /// The same, but not after a call was refused: what is refused once is refused, and may take long.
    pub async fn rounds_unless_refused(&self, more: usize) {
        let enough = self.shared.rounds.load(Ordering::Relaxed) + more;
        while self.shared.rounds.load(Ordering::Relaxed) < enough && self.refused().is_empty() {
            tokio::time::sleep(PAUSE / 4).await;
        }
    }

    /// The calls so far that were refused.
    #[must_use]
    pub fn refused(&self) -> Vec<Call> {
        let calls = self.shared.calls();
        calls
            .iter()
            .filter(|c| c.refused.is_some())
            .cloned()
            .collect()
    }

    /// Ends them after their round, and returns every call.
    pub async fn stop(mut self) -> Vec<Call> {
        self.shared.stop.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
        std::mem::take(&mut *self.shared.calls())
    }
}

impl Shared {
    fn calls(&self) -> MutexGuard<'_, Vec<Call>> {
        self.calls.lock()
    }

    /// Does a call and notes how it went.
    async fn note<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = Result<T, String>>,
    ) -> Option<T> {
        let since = Instant::now();
        let done = tokio::time::timeout(PATIENCE, call).await;
        let done = done.unwrap_or_else(|_| Err(format!("no answer in {PATIENCE:?}")));
        let (value, refused) = match done {
            Ok(value) => (Some(value), None),
            Err(why) => (None, Some(why)),
        };
        let took = since.elapsed();
        self.calls().push(Call {
            what,
            took,
            refused,
        });
        value
    }
}

impl Neighbour {
    /// The usual calls, once each, over new connections: whether they are taken is a part of it.
    async fn round(&self, shared: &Shared) {
        let opened = Http1::open(self.from, self.gateway);
        let Some(mut shop) = shared.note("connect", opened).await else {
            return;
        };
        let Customer {
            id,
            email,
            password,
            token,
        } = &self.customer;
        let credentials = json!({"email": email, "password": password});
        let sign_in = post(&mut shop, "/api/sessions", None, &credentials);
        shared.note("sign in", sign_in).await;
        let browse = get(&mut shop, "/api/products?page_size=10", None);
        shared.note("browse", browse).await;
        let me = get(&mut shop, "/api/users/me", Some(token));
        shared.note("who am I", me).await;
        let path = format!("/api/users/{id}/orders?page_size=5");
        let own = get(&mut shop, &path, Some(token));
        shared.note("own orders", own).await;
        let path = format!("/api/dashboard/{id}");
        let dashboard = async { whole(get(&mut shop, &path, Some(token)).await?) };
        shared.note("dashboard", dashboard).await;
        let order = one_line(&self.product, 1);
        let order = post(&mut shop, "/api/orders", Some(token), &order);
        shared.note("order", order).await;
        shared.note("GetUser", self.get_user()).await;
    }

    /// Over gRPC, at users' own port.
    async fn get_user(&self) -> Result<(), String> {
        let endpoint = Endpoint::from_shared(self.users.clone()).map_err(|e| e.to_string())?;
        let channel = endpoint.local_address(Some(self.from)).connect().await;
        let mut users = UserServiceClient::new(channel.map_err(|e| format!("{e:?}"))?);
        let user_id = self.customer.id.clone();
        let mut request = tonic::Request::new(GetUserRequest { user_id });
        let bearer = format!("Bearer {}", self.customer.token);
        let bearer = bearer.parse().map_err(|e| format!("{e:?}"))?;
        request.metadata_mut().insert("authorization", bearer);
        users
            .get_user(request)
            .await
            .map(drop)
            .map_err(|e| e.to_string())
    }
}

async fn get(shop: &mut Http1, path: &str, token: Option<&str>) -> Result<Response<Bytes>, String> {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer
        .iter()
        .map(|b| ("authorization", b.as_str()))
        .collect();
    expect(200, shop.call("GET", path, &headers, Bytes::new()).await?)
}

async fn post(
    shop: &mut Http1,
    path: &str,
    token: Option<&str>,
    body: &Value,
) -> Result<Response<Bytes>, String> {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(bearer.iter().map(|b| ("authorization", b.as_str())));
    expect(
        201,
        shop.call("POST", path, &headers, body.to_string()).await?,
    )
}

fn expect(status: u16, answer: Response<Bytes>) -> Result<Response<Bytes>, String> {
    if answer.status() == status {
        return Ok(answer);
    }
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    Err(format!("{}: {text}", answer.status()))
}

/// A dashboard without a part is a refusal, too.
fn whole(answer: Response<Bytes>) -> Result<(), String> {
    let dashboard: Value = serde_json::from_slice(answer.body()).map_err(|e| e.to_string())?;
    match &dashboard["partial"] {
        Value::Bool(false) => Ok(()),
        _ => Err(format!("a part is missing: {}", dashboard["errors"])),
    }
}
