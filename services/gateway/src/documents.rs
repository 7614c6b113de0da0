//! What clients are made from: the documents of the interfaces, a page to read them, and a page for each kind of problem.
//!
//! Everything is made once, when the gateway starts. Of what is only passed on, the gateway knows the contract and not the
//! code: the documents that orders and products commit to `docs/interfaces`, where a test holds them against their routes
//! (ADR 31).

mod compose;
mod deprecation;
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

pub use compose::{PassedOn, openapi};

use crate::routes::Routes;
use crate::versions::Version;

/// The documents of orders and of products in a version.
fn behind(version: Version) -> [&'static str; 2] {
    match version {
        Version::V1 => [
            include_str!("../../../docs/interfaces/openapi-orders.json"),
            include_str!("../../../docs/interfaces/openapi-products.json"),
        ],
        Version::V2 => [
            include_str!("../../../docs/interfaces/openapi-orders-v2.json"),
            include_str!("../../../docs/interfaces/openapi-products-v2.json"),
        ],
    }
}

const ASYNCAPI: &[u8] = include_bytes!("../../../docs/interfaces/asyncapi.json");

/// The versions of the API that are documented, oldest first, each with its document.
type Versions = Arc<[(Version, Bytes)]>;

/// The routes of the documents. They are for anybody.
///
/// # Errors
/// A mistake of ours in the descriptions of the routes; a test finds it first.
pub(crate) fn router(routes: &[(Version, &Routes)]) -> Result<Router, Fatal> {
    let broken = |error: &dyn std::fmt::Display| Fatal::new(format!("the API's document: {error}"));
    let read = |text| serde_json::from_str(text).map_err(|error| broken(&error));
    let mut passed_on = Vec::with_capacity(routes.len());
    for (version, routes) in routes {
        let [orders, products] = behind(*version);
        passed_on.push(PassedOn {
            version: *version,
            routes,
            orders: read(orders)?,
            products: read(products)?,
        });
    }
    let versions: Versions = openapi(&passed_on)
        .map_err(|error| broken(&error))?
        .into_iter()
        .map(|(version, document)| (version, Bytes::from(document.to_string())))
        .collect();
    let reference = reference::router();
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
    let found = match version.as_deref() {
        Some(asked) => versions.iter().find(|(version, _)| version.name() == asked),
        None => versions.first(),
    };
    match found {
        Some((_, document)) => Ok(json(document.clone())),
        None => {
            let names = Version::ALL.map(Version::name);
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
