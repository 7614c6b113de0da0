//! The reference page: an embedded Swagger UI for the documents that the gateway serves. It loads nothing from other hosts,
//! and its content security policy forbids it.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use chassis::extract::Path;
use chassis::problem::Problem;
use utoipa_swagger_ui::{Config, Url};

use crate::versions::Version;

/// Allows the page's own files and calls of the documented API. Swagger UI styles elements by attributes and has images in its
/// style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

type Settings = Arc<Config<'static>>;

/// The page and its files, over the documents of all versions of the API. It begins with the newest.
pub(super) fn router() -> Router {
    let documents = Version::ALL.into_iter().rev().map(|version| match version {
        Version::V1 => Url::new("Version 1, deprecated", "/openapi.json?version=v1"),
        Version::V2 => Url::with_primary("Version 2", "/openapi.json?version=v2", true),
    });
    // Without "none" Swagger UI sends the document's address to an external validator.
    let settings = Config::new(documents).validator_url("none");
    Router::new()
        .route("/docs", get(page))
        .route("/docs/{file}", get(file))
        .with_state(Arc::new(settings))
}

async fn page(State(settings): State<Settings>) -> Result<impl IntoResponse, Problem> {
    let (kind, page) = find("index.html", settings)?;
    // Its files are below it, though its address does not end with a slash.
    let page = String::from_utf8_lossy(&page).replace("\"./", "\"/docs/");
    Ok((
        headers(kind),
        page.replace("href=\"index.css", "href=\"/docs/index.css"),
    ))
}

async fn file(
    State(settings): State<Settings>,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let (kind, file) = find(&name, settings)?;
    Ok((headers(kind), file))
}

fn find(name: &str, settings: Settings) -> Result<(String, Bytes), Problem> {
    let found = utoipa_swagger_ui::serve(name, settings);
    // It can only fail because of invalid settings, which a test excludes.
    let file = found.ok().flatten().ok_or_else(Problem::not_found)?;
    let bytes = match file.bytes {
        // The file has 1.5 MB, so it is not copied for each request.
        Cow::Borrowed(embedded) => Bytes::from_static(embedded),
        Cow::Owned(made) => Bytes::from(made),
    };
    Ok((file.content_type, bytes))
}

fn headers(content_type: String) -> [(HeaderName, String); 3] {
    [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (header::CACHE_CONTROL, "public, max-age=3600".to_owned()),
    ]
}
