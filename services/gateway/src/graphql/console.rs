//! The console: a page to send queries and read the schema. It is compiled in and loads nothing from other hosts, so it
//! works without internet access.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderName, header};

use super::accept;

const PAGE: &str = include_str!("../../web/graphql.html");
const STYLE: &str = include_str!("../../web/graphql.css");
const SCRIPT: &str = include_str!("../../web/graphql.js");

/// Nothing from other hosts, no inline code, not in a frame.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes of the page's files.
pub(super) fn router() -> Router {
    Router::new()
        .route(
            "/graphql/console.css",
            get(|| async { file("text/css; charset=utf-8", STYLE) }),
        )
        .route(
            "/graphql/console.js",
            get(|| async { file("text/javascript; charset=utf-8", SCRIPT) }),
        )
}

/// The page itself.
pub(super) fn page() -> Response {
    file("text/html; charset=utf-8", PAGE)
}

/// Whether the client is a browser that shows pages, not a program.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    accept::is_taken(headers, "text/html")
}

fn file(media_type: &'static str, text: &'static str) -> Response {
    let fixed: [(HeaderName, &'static str); 4] = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (fixed, text).into_response()
}
