//! What clients are made from: the documents of the interfaces, a page to read them, and a page for each kind of problem.
//!
//! Everything is made once, when the gateway starts. Of what is only passed on, the gateway knows the contract and not the
//! code: the documents that orders and products commit to `docs/interfaces`, where a test holds them against their routes
//! (ADR 31).

mod compose;
mod problems;
mod reference;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use chassis::Fatal;
use chassis::extract::Query;
use chassis::problem::Problem;
use serde::Deserialize;

pub use compose::{V1, openapi};

use crate::routes::Routes;

const ORDERS: &str = include_str!("../../../docs/interfaces/openapi-orders.json");
const PRODUCTS: &str = include_str!("../../../docs/interfaces/openapi-products.json");
const ASYNCAPI: &[u8] = include_bytes!("../../../docs/interfaces/asyncapi.json");

/// The versions of the API that are documented, oldest first, each with its document.
type Versions = Arc<[(&'static str, Bytes)]>;

/// The routes of the documents. They are for anybody.
///
/// # Errors
/// A mistake of ours in the descriptions of the routes; a test finds it first.
pub(crate) fn router(routes: &Routes) -> Result<Router, Fatal> {
    let broken = |error: &dyn std::fmt::Display| Fatal::new(format!("the API's document: {error}"));
    let read = |text| serde_json::from_str(text).map_err(|error| broken(&error));
    let v1 = openapi(routes, &read(ORDERS)?, &read(PRODUCTS)?).map_err(|error| broken(&error))?;
    let versions: Versions = Arc::new([(V1, Bytes::from(v1.to_string()))]);
    let names: Vec<_> = versions.iter().map(|(name, _)| *name).collect();
    let reference = reference::router(&names);
    Ok(Router::new()
        .route("/openapi.json", get(openapi_json))
        .route("/asyncapi.json", get(asyncapi_json))
        .with_state(versions)
        .merge(problems::router())
        .merge(reference))
}

#[derive(Deserialize)]
struct Asked {
    version: Option<String>,
}

/// The document of one version of the API; of the oldest, which `/api` is, if none is named.
async fn openapi_json(
    State(versions): State<Versions>,
    Query(Asked { version }): Query<Asked>,
) -> Result<impl IntoResponse, Problem> {
    let asked = version.as_deref().unwrap_or(V1);
    match versions.iter().find(|(name, _)| *name == asked) {
        Some((_, document)) => Ok(json(document.clone())),
        None => {
            let names: Vec<_> = versions.iter().map(|(name, _)| *name).collect();
            let detail = format!(
                "there is no such version of the API; there is {}",
                names.join(", ")
            );
            Err(Problem::not_found().with_detail(detail))
        }
    }
}

async fn asyncapi_json() -> impl IntoResponse {
    json(Bytes::from_static(ASYNCAPI))
}

fn json(document: Bytes) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "public, max-age=60"),
    ];
    (headers, document)
}
