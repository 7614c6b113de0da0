//! The shop's page at `/`: hand-written HTML, CSS and ES modules that are compiled in (ADR 36).
//!
//! A debug build reads each file from disk for each request, so that edit and reload works; without the sources it serves the
//! compiled-in files. Every answer has a strong `ETag` and must be revalidated each time: files of two versions are never
//! mixed, and an unchanged file costs a 304.

mod files;

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use chassis::extract::Path;
use chassis::problem::Problem;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::tags::{is_known, tag};
use files::{File, INDEX};

/// Nothing from other hosts, no inline code, not in a frame, and no text is parsed as HTML.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// The stops of the tour, and what each will show and why. Public for `agora tour`.
pub const TOUR: &str = include_str!("../web/tour/tour.json");

/// Caches may store the files, but must revalidate them before each use.
const CACHING: &str = "no-cache";

/// All files, each with its bytes and its tag.
type Site = Arc<[Loaded]>;

#[derive(Clone)]
struct Loaded {
    file: &'static File,
    bytes: Bytes,
    tag: HeaderValue,
}

/// `/` and the page's files, which need no token.
pub(crate) fn router() -> Router {
    let embedded = |file: &'static File| Loaded::new(file, Bytes::from_static(file.embedded));
    let site: Site = files::ALL.iter().map(embedded).collect();
    Router::new()
        .route("/", get(index))
        .route("/page/{*file}", get(part))
        .with_state(site)
}

async fn index(State(site): State<Site>, headers: HeaderMap) -> Result<Response, Problem> {
    answer(&site, INDEX, &headers)
}

async fn part(
    State(site): State<Site>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // The index is served at `/` only, so that each file has one address.
    if name == INDEX {
        return Err(Problem::not_found());
    }
    answer(&site, &name, &headers)
}

/// Serves files of the list only: a name in a request never becomes a path on disk.
fn answer(site: &[Loaded], name: &str, asked: &HeaderMap) -> Result<Response, Problem> {
    let found = site.iter().find(|loaded| loaded.file.name == name);
    let loaded = found.ok_or_else(Problem::not_found)?.now();
    let fixed: [(HeaderName, &'static str); 6] = [
        (header::CONTENT_TYPE, loaded.file.media_type()),
        (header::CACHE_CONTROL, CACHING),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ];
    let tag = [(header::ETAG, loaded.tag.clone())];
    if is_known(asked, &loaded.tag) {
        return Ok((StatusCode::NOT_MODIFIED, tag, fixed).into_response());
    }
    Ok((tag, fixed, loaded.bytes.clone()).into_response())
}

impl Loaded {
    fn new(file: &'static File, bytes: Bytes) -> Self {
        Self {
            file,
            tag: tag(&bytes),
            bytes,
        }
    }

    /// The content to serve: in a debug build the present source.
    fn now(&self) -> Cow<'_, Self> {
        match self.file.on_disk() {
            Some(bytes) => Cow::Owned(Self::new(self.file, bytes)),
            None => Cow::Borrowed(self),
        }
    }
}
