//! The documents of the interfaces, a page to read them, and a page for each kind of problem.
//!
//! All of it is built once, when the gateway starts. For requests that are only passed on it uses the documents that orders
//! and products commit to `docs/interfaces`, where a test compares them with their routes (ADR 31).

mod compose;
mod deprecation;
mod problems;
mod reference;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use chassis::Fatal;
use chassis::extract::Query;
use chassis::problem::Problem;
use serde::Deserialize;

pub use compose::{PassedOn, openapi};

use crate::routes::Routes;
use crate::tags::{is_known, tag};
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

/// The documents that are served.
struct Documents {
    /// Of the versions of the API, oldest first.
    openapi: Vec<(Version, Document)>,
    asyncapi: Document,
}

/// A document, and the tag that says which one it is.
struct Document {
    bytes: Bytes,
    tag: HeaderValue,
}

/// The routes of the documents, which need no token.
///
/// # Errors
/// If the descriptions of the routes are inconsistent, which is a bug that a test finds.
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
    let openapi = openapi(&passed_on).map_err(|error| broken(&error))?;
    let openapi = openapi.into_iter();
    let documents = Documents {
        openapi: openapi
            .map(|(version, document)| (version, Document::new(document.to_string().into())))
            .collect(),
        asyncapi: Document::new(Bytes::from_static(ASYNCAPI)),
    };
    let reference = reference::router();
    Ok(Router::new()
        .route("/openapi.json", get(openapi_json))
        .route("/asyncapi.json", get(asyncapi_json))
        .with_state(Arc::new(documents))
        .merge(problems::router())
        .merge(reference))
}

#[derive(Deserialize)]
struct Asked {
    version: Option<String>,
}

/// The document of one version of the API; of the oldest, which `/api` is, if none is named.
async fn openapi_json(
    State(documents): State<Arc<Documents>>,
    Query(Asked { version }): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut versions = documents.openapi.iter();
    let found = match version.as_deref() {
        Some(asked) => versions.find(|(version, _)| version.name() == asked),
        None => versions.next(),
    };
    match found {
        Some((_, document)) => Ok(document.answer(&headers)),
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

async fn asyncapi_json(State(documents): State<Arc<Documents>>, headers: HeaderMap) -> Response {
    documents.asyncapi.answer(&headers)
}

impl Document {
    fn new(bytes: Bytes) -> Self {
        Self {
            tag: tag(&bytes),
            bytes,
        }
    }

    /// The document, unless the reader has this one.
    fn answer(&self, asked: &HeaderMap) -> Response {
        let fixed = [
            (header::ETAG, self.tag.clone()),
            (
                header::CACHE_CONTROL,
                HeaderValue::from_static("public, max-age=60"),
            ),
        ];
        if is_known(asked, &self.tag) {
            return (StatusCode::NOT_MODIFIED, fixed).into_response();
        }
        let kind = [(header::CONTENT_TYPE, "application/json")];
        (fixed, kind, self.bytes.clone()).into_response()
    }
}
