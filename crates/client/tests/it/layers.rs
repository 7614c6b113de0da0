//! All layers together, around calls to peers that slow, hang, die and come back.

mod bounds;
mod peers;
mod repeats;
mod shown;

use std::time::Duration;

use client::{CallContext, CallError, Monitor, RestClient};
use serde_json::Value;

use crate::peer_at;

/// Far longer than anything here takes, far shorter than a person waits.
const PATIENCE: Duration = Duration::from_secs(30);

fn client(address: &str, config: &str) -> RestClient {
    RestClient::new(peer_at(address, config))
}

async fn get(client: &RestClient) -> Result<String, CallError> {
    client.get("/", &CallContext::default()).await
}

async fn post(client: &RestClient, key: Option<&str>) -> Result<String, CallError> {
    let context = CallContext {
        idempotency_key: key.map(str::to_owned),
        ..CallContext::default()
    };
    client.post("/", &"body", &context).await
}

/// Calls until it is so.
async fn until<T>(mut wanted: impl AsyncFnMut() -> Option<T>) -> T {
    let polls = async {
        loop {
            if let Some(found) = wanted().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, polls)
        .await
        .expect("it never came")
}

fn breaker(monitor: &Monitor) -> Value {
    monitor.snapshot()["breaker"]["state"].clone()
}

async fn all<T>(calls: impl Iterator<Item = impl Future<Output = T>>) {
    let mut calls: Vec<_> = calls.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        calls.retain_mut(|call| call.as_mut().poll(cx).is_pending());
        if calls.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}
