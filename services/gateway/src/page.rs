//! The shop's page at `/`: hand-written HTML, CSS and ES modules that are part of the program (ADR 36).
//!
//! A debug build reads each file again whenever it is asked for, so that edit and reload works; it falls back to what was
//! compiled in where the sources are gone. Every answer has a strong `ETag` and is to be asked for again each time: a new
//! version is never mixed with files of the old one, and what did not change costs a 304.

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

/// Nothing from elsewhere, nothing in line, in nobody's frame; and no text becomes HTML, whoever wrote it.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// What the tour is: its stops, what each will show and why. For whoever plays it elsewhere than on the page.
pub const TOUR: &str = include_str!("../web/tour/tour.json");

/// Kept, but never used without asking whether it is still the same.
const CACHING: &str = "no-cache";

/// All files, each with its bytes and its tag.
type Site = Arc<[Loaded]>;

#[derive(Clone)]
struct Loaded {
    file: &'static File,
    bytes: Bytes,
    tag: HeaderValue,
}

/// `/` and what it is made of. They are for anybody.
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
    // By its own address only, so that there is one of each.
    if name == INDEX {
        return Err(Problem::not_found());
    }
    answer(&site, &name, &headers)
}

/// Only what is in the list is there at all: a name never becomes a path.
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

    /// What is served: in a debug build the source as it is now.
    fn now(&self) -> Cow<'_, Self> {
        match self.file.on_disk() {
            Some(bytes) => Cow::Owned(Self::new(self.file, bytes)),
            None => Cow::Borrowed(self),
        }
    }
}
