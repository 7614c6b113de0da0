//! A REST client through a bad day of its peer: two instances, of which one hangs, then both do, then both are well.
//!
//! ```sh
//! cargo run -p client --example rest_client
//! ```
#![expect(clippy::print_stdout, reason = "it shows something")]
#![expect(clippy::unwrap_used, reason = "an example may stop")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use axum::routing::get;
use axum::{Json, Router};
// region: build
use client::{Address, CallContext, CallError, ClientConfig, Peer, RestClient};

/// What a service's `config.rs` makes of `PRODUCTS_URL` and `PRODUCTS_CLIENT`.
fn products(url: &str, line: &str) -> Result<RestClient, String> {
    let address: Address = url.parse()?;
    let config: ClientConfig = line.parse()?;
    let peer = Peer::new("products", address, config).called_by("example");
    Ok(RestClient::new(peer))
}
// endregion: build

// region: call
async fn price_of(client: &RestClient, id: &str) -> Result<Option<i64>, CallError> {
    let path = format!("/v1/products/{id}");
    match client.get(&path, &CallContext::default()).await {
        Ok(price) => Ok(Some(price)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
// endregion: call

/// One instance of the peer.
#[derive(Clone, Default)]
struct Instance {
    hangs: Arc<AtomicBool>,
    requests: Arc<AtomicU64>,
}

impl Instance {
    async fn serve(&self) -> SocketAddr {
        let this = self.clone();
        let answer = move || async move {
            this.requests.fetch_add(1, Relaxed);
            let pause = if this.hangs.load(Relaxed) { 3600 } else { 0 };
            tokio::time::sleep(Duration::from_secs(pause)).await;
            Json(1999)
        };
        let router = Router::new().route("/v1/products/{id}", get(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        address
    }
}

#[tokio::main]
async fn main() {
    let (one, two) = (Instance::default(), Instance::default());
    let url = format!("http://{},http://{}", one.serve().await, two.serve().await);
    let line = "deadline=1s,attempt=250ms,breaker=50%/20/500ms,bulkhead=32+32/100ms";
    println!("{line}\n20 callers, each with a pause of 10 ms after a call\n");
    println!(
        "{:<16} {:>8} {:>8} {:>8}  {:>9}  what callers got",
        "", "at one", "at two", "retries", "breaker"
    );
    let client = products(&url, line).unwrap();
    for (phase, one_hangs, two_hangs) in [
        ("both are well", false, false),
        ("one hangs", true, false),
        ("both hang", true, true),
        ("still", true, true),
        ("both are well", false, false),
        ("still", false, false),
    ] {
        one.hangs.store(one_hangs, Relaxed);
        two.hangs.store(two_hangs, Relaxed);
        let outcomes = call_for(Duration::from_secs(2), &client).await;
        let seen = client.monitor().snapshot();
        println!(
            "{phase:<16} {:>8} {:>8} {:>8}  {:>9}  {outcomes}",
            one.requests.swap(0, Relaxed),
            two.requests.swap(0, Relaxed),
            seen["retry"]["retries"],
            seen["breaker"]["state"].as_str().unwrap(),
        );
    }
}

/// Has callers call, and says what they got and how long the slowest waited.
async fn call_for(time: Duration, client: &RestClient) -> String {
    let end = Instant::now() + time;
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let client = client.clone();
        callers.spawn(async move {
            let mut got = Vec::new();
            while Instant::now() < end {
                let start = Instant::now();
                let outcome = match price_of(&client, "lamp").await {
                    Ok(_) => "answers",
                    Err(CallError::Timeout { .. }) => "timeouts",
                    Err(CallError::Rejected { .. }) => "refusals",
                    Err(_) => "failures",
                };
                got.push((outcome, start.elapsed()));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            got
        });
    }
    let mut outcomes: BTreeMap<_, (u32, Duration)> = BTreeMap::new();
    for (outcome, took) in callers.join_all().await.into_iter().flatten() {
        let (count, slowest) = outcomes.entry(outcome).or_default();
        *count += 1;
        *slowest = took.max(*slowest);
    }
    let shown = outcomes.iter().map(|(outcome, (count, slowest))| {
        format!("{count} {outcome} (≤ {} ms)", slowest.as_millis())
    });
    shown.collect::<Vec<_>>().join(", ")
}
