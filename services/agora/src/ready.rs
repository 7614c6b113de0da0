//! Waiting until a service says that it is ready, as a load balancer would: at `/readyz`.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use client::{HttpPool, PoolOptions};
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tokio::time::Instant;

use crate::doors::http;
use crate::failure::Failure;

/// How long all services together may take, migrations of a large database included.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How often they are asked.
const POLL: Duration = Duration::from_millis(10);
/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks services for their readiness.
pub(crate) struct Readiness {
    pool: HttpPool<Full<Bytes>>,
    deadline: Instant,
}

impl Readiness {
    pub(crate) fn new() -> Self {
        let options = PoolOptions {
            answer_timeout: ANSWER_TIMEOUT,
            ..PoolOptions::default()
        };
        Self {
            pool: HttpPool::new("readyz", options),
            deadline: Instant::now() + START_TIMEOUT,
        }
    }

    /// Waits until the service whose admin port is `admin` is ready.
    pub(crate) async fn of(&self, service: &str, admin: SocketAddr) -> Result<(), Failure> {
        loop {
            let why = match self.ask(admin).await {
                Ok(None) => return Ok(()),
                Ok(Some(why)) | Err(why) => why,
            };
            if Instant::now() >= self.deadline {
                let seconds = START_TIMEOUT.as_secs();
                return Err(Failure::new(format!(
                    "{service} was not ready after {seconds} s: {why}"
                )));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// `None` when it is ready, else what it waits for.
    async fn ask(&self, admin: SocketAddr) -> Result<Option<String>, String> {
        let request = Request::get(format!("{}/readyz", http(admin)))
            .body(Full::default())
            .map_err(|error| error.to_string())?;
        let answer = self
            .pool
            .send(request)
            .await
            .map_err(|error| error.to_string())?;
        let ready = answer.status().is_success();
        let body = answer
            .into_body()
            .collect()
            .await
            .map_err(|error| error.to_string())?;
        if ready {
            return Ok(None);
        }
        let report: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        Ok(Some(waiting_for(&report)))
    }
}

/// The dependencies of a readiness report that are not up.
fn waiting_for(report: &Value) -> String {
    let dependencies = report["dependencies"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let missing: Vec<_> = dependencies
        .iter()
        .filter(|dependency| dependency["state"] != "up")
        .map(|dependency| {
            let name = dependency["name"].as_str().unwrap_or("?");
            match dependency["detail"].as_str() {
                Some(detail) => format!("{name} ({detail})"),
                None => name.to_owned(),
            }
        })
        .collect();
    if missing.is_empty() {
        "it is still starting".to_owned()
    } else {
        format!("it waits for {}", missing.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_missing() {
        let report = serde_json::json!({"status": "unavailable", "dependencies": [
            {"name": "kafka", "state": "down", "detail": "refused"},
            {"name": "postgres", "state": "up"},
            {"name": "users", "state": "starting"},
        ]});
        assert_eq!(waiting_for(&report), "it waits for kafka (refused), users");
        assert_eq!(waiting_for(&Value::Null), "it is still starting");
    }
}
