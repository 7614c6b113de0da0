//! Dead letters: the messages that a service could not handle, and redriving them. One replica is called, since all of them see
//! the same.

use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use chassis::extract::{self, Path};
use chassis::problem::Problem;
use http::Method;
use serde_json::Value;

use super::{Shared, answer};
use crate::replicas::Service;

/// The retry delay if no replica answers.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Passes on the service's `GET /dead-letters`, with the same query.
pub(super) async fn list(
    State(shared): State<Shared>,
    Path(service): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let path = format!("/dead-letters{query}");
    ask(shared.service(&service)?, Method::GET, &path, None).await
}

/// Passes on the service's `POST /dead-letters/redrive`.
pub(super) async fn redrive(
    State(shared): State<Shared>,
    Path(service): Path<String>,
    extract::Json(which): extract::Json<Value>,
) -> Result<Response, Problem> {
    let service = shared.service(&service)?;
    let answer = ask(service, Method::POST, "/dead-letters/redrive", Some(&which)).await?;
    let status = answer.status().as_u16();
    tracing::warn!(
        service = service.name,
        status,
        "dead letters were sent again from the page"
    );
    Ok(answer)
}

/// The answer of the first replica that answers.
async fn ask(
    service: &Service,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Response, Problem> {
    let mut why = "it has no replicas".to_owned();
    for replica in service.replicas() {
        match replica.ask(method.clone(), path, body).await {
            Ok(answered) => return Ok(answer(answered)),
            Err(error) => why = format!("{}: {error}", replica.at),
        }
    }
    let detail = format!("{} does not answer: {why}", service.name);
    Err(Problem::unavailable(RETRY_AFTER, detail))
}
