//! `/faults`: injects faults into this service's calls, to observe how the resilience patterns handle them.
//!
//! ```sh
//! curl -X PUT localhost:8090/faults -H 'content-type: application/json' \
//!      -d '{"rules": [{"target": "orders", "kind": "delay", "delay_ms": 800, "percent": 20}]}'
//! curl localhost:8090/faults
//! curl -X DELETE localhost:8090/faults
//! ```

mod rules;

use axum::extract::{FromRef, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use resilience::fault::Faults;
use serde_json::{Value, json};

use super::clients::Clients;
use crate::extract;
use crate::hops;
use crate::problem::Problem;

/// The faults, and the clients whose calls they apply to.
#[derive(Clone)]
struct Controls {
    service: &'static str,
    faults: Faults,
    clients: Clients,
}

impl FromRef<Controls> for Faults {
    fn from_ref(controls: &Controls) -> Self {
        controls.faults.clone()
    }
}

pub(super) fn router(service: &'static str, faults: Faults, clients: Clients) -> Router {
    Router::new()
        .route("/faults", get(list).put(replace).delete(clear))
        .with_state(Controls {
            service,
            faults,
            clients,
        })
}

async fn list(State(faults): State<Faults>) -> impl IntoResponse {
    (
        [(header::CACHE_CONTROL, "no-store")],
        Json(json!({ "rules": shown(&faults) })),
    )
}

fn shown(faults: &Faults) -> Value {
    faults.snapshot().iter().map(rules::show).collect()
}

async fn replace(
    State(Controls {
        service,
        faults,
        clients,
    }): State<Controls>,
    extract::Json(body): extract::Json<Value>,
) -> Result<impl IntoResponse, Problem> {
    let rules = rules::parse(&body, &clients.names()).map_err(Problem::unprocessable)?;
    tracing::warn!(?rules, "faults were set by hand");
    faults
        .set(rules)
        .map_err(|error| Problem::bad_request(error.to_string()))?;
    hops::faults(service, &shown(&faults));
    Ok(list(State(faults)).await)
}

async fn clear(
    State(Controls {
        service, faults, ..
    }): State<Controls>,
) -> StatusCode {
    faults.clear();
    hops::faults(service, &json!([]));
    tracing::warn!("faults were cleared by hand");
    StatusCode::NO_CONTENT
}
