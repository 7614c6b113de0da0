//! Waits until a service is ready, by polling `/readyz` as a load balancer would.

use std::net::SocketAddr;
use std::time::Duration;

use client::{ClientConfig, HttpPool, Peer, RequestBody};
use http::Request;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::time::Instant;

use crate::failure::Failure;

/// How long all services together may take, migrations of a large database included.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How often they are asked.
const POLL: Duration = Duration::from_millis(10);
/// A long deadline for one answer, and no retries, since it is polled anyway.
const ASKED: &str = "deadline=2s,attempt=2s,retries=0,breaker=off";

/// Polls services for their readiness.
pub(crate) struct Readiness {
    deadline: Instant,
}

impl Readiness {
    pub(crate) fn new() -> Self {
        Self {
            deadline: Instant::now() + START_TIMEOUT,
        }
    }

    /// Waits until the service whose admin port is `admin` is ready.
    pub(crate) async fn of(&self, service: &str, admin: SocketAddr) -> Result<(), Failure> {
        let config: ClientConfig = ASKED.parse().map_err(Failure::new)?;
        loop {
            // A new client each time, since a client would eject an endpoint that answers 503, and warn about it.
            let pool = HttpPool::new(Peer::new("readyz", admin, config.clone()));
            let why = match ask(&pool).await {
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
}

/// `None` when it is ready, otherwise the dependencies that it waits for.
async fn ask(pool: &HttpPool) -> Result<Option<String>, String> {
    let request = Request::get("/readyz")
        .body(RequestBody::whole(""))
        .map_err(|error| error.to_string())?;
    let answer = pool
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
