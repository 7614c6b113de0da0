//! Helpers of all stops: a customer of the shop, the state, switches and faults.

mod mend;

use std::future::Future;
use std::time::Duration;

use chassis::admin::AdminToken;
use client::{Address, HttpPool, Peer, RequestBody};
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt, Limited};
use rand::Rng as _;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::must;
use crate::demo::{EMAIL, PASSWORD};
use crate::failure::Failure;
use mend::Broken;

/// A long deadline, since a call may hash a password, or hang on purpose. No retries, since the stops show failures.
const ASKED: &str = "deadline=30s,attempt=30s,retries=0,breaker=off,bulkhead=64+64/10s";
/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// The polling interval.
const LOOK: Duration = Duration::from_millis(300);

/// The clients and the customer of the tour.
pub(super) struct Guide {
    gateway: HttpPool,
    observatory: HttpPool,
    switches: HttpPool,
    admin: Vec<(String, HttpPool)>,
    admin_token: Option<String>,
    token: String,
    to_mend: Broken,
    /// The demo customer's id.
    pub(super) me: String,
}

/// An answer and its trace.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) json: Value,
    pub(super) trace: String,
}

/// An event that was published: its place in its order's history, and when, in microseconds since the Unix epoch.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) sequence: u64,
    pub(super) started_at: u64,
    pub(super) ended_at: u64,
}

impl Answer {
    /// The answer, if it is a success.
    pub(super) fn good(self) -> Result<Self, String> {
        match self.status {
            200..=299 => Ok(self),
            status => Err(format!("it was answered {status}: {}", self.json)),
        }
    }

    pub(super) fn text(&self, name: &str) -> String {
        text(&self.json, name)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A call to be made.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) body: Option<Value>,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl<'a> Call<'a> {
    pub(super) fn get(path: &'a str) -> Self {
        Self {
            method: Method::GET,
            path,
            body: None,
            headers: Vec::new(),
        }
    }

    pub(super) fn post(path: &'a str, body: Value) -> Self {
        Self {
            method: Method::POST,
            body: Some(body),
            ..Self::get(path)
        }
    }
}

impl Guide {
    /// At the marketplace whose `endpoints.json` this is, signed in as the demo customer.
    pub(super) async fn open(
        endpoints: &Value,
        admin_token: Option<&AdminToken>,
    ) -> Result<Self, Failure> {
        let pool = |name: &'static str| pool(name, &endpoints[name]);
        let admin = endpoints["admin"].as_object().into_iter().flatten();
        let admin = admin.map(|(name, url)| Ok((name.clone(), self::pool("admin", url)?)));
        let mut guide = Self {
            gateway: pool("gateway")?,
            observatory: pool("observatory")?,
            switches: pool("switches")?,
            admin: admin.collect::<Result<_, Failure>>()?,
            admin_token: admin_token.map(|token| token.reveal().to_owned()),
            token: String::new(),
            to_mend: Broken::default(),
            me: String::new(),
        };
        // A marketplace that was killed leaves its endpoints.json behind.
        guide
            .sign_in()
            .await
            .map_err(|why| Failure::new(format!("{why}; if it does not run, start `agora up`")))?;
        Ok(guide)
    }

    /// Signs in again.
    pub(super) async fn sign_in(&mut self) -> Result<(), String> {
        let body = json!({"email": EMAIL, "password": PASSWORD});
        self.token = String::new();
        let session = self.call(Call::post("/api/sessions", body)).await?.good()?;
        self.token = session.text("access_token");
        self.me = self
            .call(Call::get("/api/users/me"))
            .await?
            .good()?
            .text("id");
        Ok(())
    }

    /// Another token, good for so many seconds.
    pub(super) async fn brief(&self, seconds: u32) -> Result<Answer, String> {
        let body = json!({"email": EMAIL, "password": PASSWORD, "expires_in": seconds});
        self.call(Call::post("/api/sessions", body)).await?.good()
    }

    /// Calls the shop as the demo customer.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Answer, String> {
        let bearer = (!self.token.is_empty()).then_some(self.token.as_str());
        send(&self.gateway, call, bearer).await
    }

    /// The same with another token.
    pub(super) async fn call_with(&self, token: &str, call: Call<'_>) -> Result<Answer, String> {
        send(&self.gateway, call, Some(token)).await
    }

    /// The products with more than one piece in stock, by descending stock.
    pub(super) async fn goods(&self) -> Result<Vec<Value>, String> {
        let page = self
            .call(Call::get("/api/products?page_size=100"))
            .await?
            .good()?;
        let mut goods = page.json["products"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        goods.retain(|good| available(good) > 1);
        goods.sort_by_key(|good| -available(good));
        Ok(goods)
    }

    /// The product with the largest stock.
    pub(super) async fn plenty(&self) -> Result<Value, String> {
        let goods = self.goods().await?;
        goods
            .into_iter()
            .next()
            .ok_or_else(|| "there is something to buy".to_owned())
    }

    /// Buys a product; returns the answer, whatever its status.
    pub(super) async fn buy(&self, good: &Value, pieces: i64, key: &str) -> Result<Answer, String> {
        let body = json!({"items": [{"product_id": good["id"], "quantity": pieces}]});
        let mut call = Call::post("/api/orders", body);
        call.headers.push(("idempotency-key", key.to_owned()));
        self.call(call).await
    }

    /// Buys one piece; fails unless the order is accepted.
    pub(super) async fn bought(&self, good: &Value) -> Result<Answer, String> {
        self.buy(good, 1, &hex(32)).await?.good()
    }

    /// Waits until the order is no longer pending, and returns it. Tolerates outages meanwhile.
    pub(super) async fn decided(&self, order: &str) -> Result<Value, String> {
        let path = format!("/api/orders/{order}");
        until("the order is decided", || async {
            let answer = self.call(Call::get(&path)).await.ok()?;
            let is_decided = answer.status == 200 && answer.json["status"] != "pending";
            is_decided.then_some(answer.json)
        })
        .await
    }

    /// The state of the system as the observatory sees it.
    pub(super) async fn state(&self) -> Option<Value> {
        let answer = send(&self.observatory, Call::get("/v1/state"), None).await;
        answer.ok()?.good().ok().map(|answer| answer.json)
    }

    /// A number in a list of the state: 0 if there is no entry, `None` if it is unknown.
    pub(super) async fn count(&self, list: &str, name: &str, of: &str, what: &str) -> Option<u64> {
        let state = self.state().await?;
        let mut entries = state[list].as_array().into_iter().flatten();
        let count = match entries.find(|entry| entry[name] == of) {
            Some(entry) => entry[what].as_f64()?,
            None => 0.0,
        };
        // A number of messages, which is a small integer.
        Some(count.max(0.0) as u64)
    }

    /// A number of the gateway's calls to a service, from the state.
    pub(super) async fn edge(&self, to: &str, what: &str) -> Option<u64> {
        let state = self.state().await?;
        let mut edges = state["edges"].as_array().into_iter().flatten();
        let edge = edges.find(|edge| edge["from"] == "gateway" && edge["to"] == to);
        edge.and_then(|edge| edge[what].as_u64())
    }

    /// The state of the gateway's breaker for a service.
    pub(super) async fn breaker(&self, to: &str) -> Option<String> {
        let state = self.state().await?;
        let mut edges = state["edges"].as_array().into_iter().flatten();
        let edge = edges.find(|edge| edge["from"] == "gateway" && edge["to"] == to)?;
        Some(text(edge, "breaker"))
    }

    /// Waits for the first event that orders publishes in a trace, as the observatory reports it.
    pub(super) async fn published(&self, trace: &str) -> Option<Published> {
        let path = format!("/v1/traces/{trace}");
        let seen = send(&self.observatory, Call::get(&path), None).await;
        let seen = seen.ok()?.good().ok()?.json;
        let hops = seen["hops"].as_array()?.iter();
        let is_it = |hop: &&Value| {
            let is_publish = hop["kind"] == "kafka" && hop["side"] == "producer";
            is_publish && hop["service"] == "orders" && hop["outcome"] == "ok"
        };
        let hop = hops
            .filter(is_it)
            .min_by_key(|hop| hop["sequence"].as_u64())?;
        Some(Published {
            sequence: hop["sequence"].as_u64()?,
            started_at: hop["started_at"].as_u64()?,
            ended_at: hop["ended_at"].as_u64()?,
        })
    }

    /// Sets a switch, and notes how to mend it.
    pub(super) async fn set(&self, switch: &str, on: bool) -> Result<(), String> {
        let back = self.to_mend.set(switch, on);
        self.press(switch, on).await?;
        if let Some(back) = back {
            self.to_mend.mended(&back);
        }
        Ok(())
    }

    /// Sets a switch without recording how to mend it.
    pub(super) async fn press(&self, switch: &str, on: bool) -> Result<(), String> {
        let path = format!("/switches/{switch}");
        let call = Call::post(&path, json!({ "on": on }));
        send(&self.switches, call, self.admin_token.as_deref())
            .await?
            .good()?;
        Ok(())
    }

    /// The admin port of a service.
    fn port(&self, service: &str) -> Result<&HttpPool, String> {
        let admin = self.admin.iter().find(|(name, _)| name == service);
        let (_, port) = admin.ok_or_else(|| format!("{service} has no admin port"))?;
        Ok(port)
    }

    /// The dead letters of a service.
    pub(super) async fn letters(&self, service: &str) -> Result<Vec<Value>, String> {
        let call = Call::get("/dead-letters?limit=1000");
        let listed = send(self.port(service)?, call, None).await?.good()?;
        let letters = listed.json["dead_letters"].as_array();
        Ok(letters.cloned().unwrap_or_default())
    }

    /// Sends dead letters of a service again.
    pub(super) async fn redrive(&self, service: &str, which: Value) -> Result<(), String> {
        let call = Call::post("/dead-letters/redrive", which);
        let token = self.admin_token.as_deref();
        send(self.port(service)?, call, token).await?.good()?;
        Ok(())
    }
}

/// Waits until something is there.
pub(super) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut probe: impl FnMut() -> F,
) -> Result<T, String> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe().await {
            return Ok(found);
        }
        must(Instant::now() < end, what)?;
        sleep(LOOK).await;
    }
}

/// A member as text; empty if it is not text.
pub(super) fn text(of: &Value, name: &str) -> String {
    of[name].as_str().unwrap_or_default().to_owned()
}

pub(super) fn available(good: &Value) -> i64 {
    good["available"].as_i64().unwrap_or_default()
}

/// Random hexadecimal digits.
pub(super) fn hex(digits: usize) -> String {
    let mut random = rand::rng();
    let digit = |_| char::from_digit(random.random_range(0..16), 16).unwrap_or('0');
    (0..digits).map(digit).collect()
}

fn pool(name: &'static str, url: &Value) -> Result<HttpPool, Failure> {
    let url = url
        .as_str()
        .ok_or_else(|| Failure::new(format!("endpoints.json names no {name}")))?;
    let address: Address = url.parse().map_err(Failure::new)?;
    let config = ASKED.parse().map_err(Failure::new)?;
    Ok(HttpPool::new(
        Peer::new(name, address, config).called_by("agora"),
    ))
}

async fn send(pool: &HttpPool, call: Call<'_>, bearer: Option<&str>) -> Result<Answer, String> {
    let trace = hex(32);
    let host = pool.peer().address.authority().as_str();
    let mut request = Request::builder()
        .method(call.method)
        .uri(call.path)
        .header(header::HOST, host)
        .header("traceparent", format!("00-{trace}-{}-01", hex(16)));
    if let Some(token) = bearer {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    let body = match call.body {
        Some(body) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            body.to_string()
        }
        None => String::new(),
    };
    let request = request
        .body(RequestBody::whole(body))
        .map_err(|error| error.to_string())?;
    let answer = pool
        .send(request)
        .await
        .map_err(|error| error.to_string())?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    Ok(Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        json: serde_json::from_slice(&body).unwrap_or_default(),
        trace,
    })
}
