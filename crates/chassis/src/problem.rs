//! Problem documents (RFC 9457): the one shape of every HTTP error.
//!
//! `type` is always [`ServiceInfo::problem_types`](crate::ServiceInfo::problem_types) plus a slug, never `about:blank`: a
//! client can tell every kind apart by one string, and the URI is where its documentation may live one day.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::fatal::chain;

/// What every `type` starts with where the service says nothing else: a reference to the host that was asked.
pub(crate) const RELATIVE_TYPES: &str = "/problems/";
/// The media type of a problem document.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// The most wrong fields that one problem lists; of the others it says how many there are.
pub const ERRORS_MAX: usize = 100;

/// One wrong field of a request body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to the field: `/items/0/quantity`; the empty string is the whole body.
    pub pointer: String,
    /// What is wrong with it, for a person.
    pub detail: String,
}

impl FieldError {
    /// The field at `pointer` is wrong for the reason `detail`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }
}

/// An error as the client sees it. Make one by the constructor of its status; return it from a
/// handler.
///
/// `instance`, `trace_id` and the whole `type` are filled in by [`crate::http::standard`], which knows the request and
/// the service.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    status: StatusCode,
    slug: Cow<'static, str>,
    title: Cow<'static, str>,
    detail: Option<String>,
    errors: Vec<FieldError>,
    headers: HeaderMap,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

impl Problem {
    /// A kind of its own: `slug` is the last part of `type`, `title` is the same for every occurrence.
    pub fn new(status: StatusCode, slug: &'static str, title: &'static str) -> Self {
        Self(Box::new(Inner {
            status,
            slug: slug.into(),
            title: title.into(),
            detail: None,
            errors: Vec::new(),
            headers: HeaderMap::new(),
        }))
    }

    /// The kind that stands for a status and says no more than it.
    pub fn from_status(status: StatusCode) -> Self {
        let kind = |slug, title| Self::new(status, slug, title);
        match status {
            StatusCode::BAD_REQUEST => kind("bad-request", "The request cannot be read"),
            StatusCode::UNAUTHORIZED => Self::unauthorized(),
            StatusCode::FORBIDDEN => Self::forbidden(),
            StatusCode::NOT_FOUND => Self::not_found(),
            StatusCode::METHOD_NOT_ALLOWED => kind(
                "method-not-allowed",
                "This resource does not know that method",
            ),
            StatusCode::NOT_ACCEPTABLE => {
                kind("not-acceptable", "No acceptable form of the answer")
            }
            StatusCode::REQUEST_TIMEOUT => {
                kind("request-timeout", "The request took too long to arrive")
            }
            StatusCode::CONFLICT => {
                kind("conflict", "The request conflicts with the present state")
            }
            StatusCode::PAYLOAD_TOO_LARGE => {
                kind("payload-too-large", "The request body is too large")
            }
            StatusCode::URI_TOO_LONG => kind("uri-too-long", "The request target is too long"),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => kind(
                "headers-too-large",
                "The header fields of the request are too large",
            ),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::unsupported_media_type(),
            StatusCode::UNPROCESSABLE_ENTITY => Self::unprocessable(Vec::new()),
            StatusCode::TOO_MANY_REQUESTS => kind("too-many-requests", "Too many requests"),
            StatusCode::BAD_GATEWAY => {
                kind("bad-gateway", "A service behind this one gave a bad answer")
            }
            StatusCode::SERVICE_UNAVAILABLE => kind("unavailable", "Temporarily unavailable"),
            StatusCode::GATEWAY_TIMEOUT => Self::gateway_timeout(),
            _ if status.is_client_error() => kind("client-error", "The request cannot be served"),
            _ => kind("internal-error", "Something went wrong on our side"),
        }
    }

    /// 400: the request cannot be read.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::from_status(StatusCode::BAD_REQUEST).with_detail(detail)
    }

    /// 401, with the `WWW-Authenticate` that goes with it.
    pub fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "A valid access token is needed",
        )
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 403: known, but not allowed. For what is not the caller's use [`not_found`](Self::not_found):
    /// the answer must not tell that it exists.
    pub fn forbidden() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "Not allowed for this caller",
        )
    }

    /// 404.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is nothing here")
    }

    /// 409.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::from_status(StatusCode::CONFLICT).with_detail(detail)
    }

    /// 413; `limit` in bytes.
    pub fn payload_too_large(limit: usize) -> Self {
        Self::from_status(StatusCode::PAYLOAD_TOO_LARGE)
            .with_detail(format!("the body may have at most {limit} bytes"))
    }

    /// 415: the body must be `application/json`.
    pub fn unsupported_media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "The body has the wrong content type",
        )
        .with_detail("send application/json")
    }

    /// 422: readable, but invalid. List *all* wrong fields; the first [`ERRORS_MAX`] of them are told.
    pub fn unprocessable(mut errors: Vec<FieldError>) -> Self {
        let more = errors.len().saturating_sub(ERRORS_MAX);
        errors.truncate(ERRORS_MAX);
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "unprocessable",
            "The request was understood but is not valid",
        );
        problem.0.errors = errors;
        problem.and_more(more)
    }

    /// Says that there are `more` wrong fields than those that are listed.
    #[must_use]
    pub fn and_more(self, more: usize) -> Self {
        if more == 0 {
            return self;
        }
        self.with_detail(format!("{more} more errors are not listed"))
    }

    /// 429 with `Retry-After` (whole seconds, rounded up).
    pub fn too_many_requests(retry_after: Duration) -> Self {
        Self::from_status(StatusCode::TOO_MANY_REQUESTS).with_retry_after(retry_after)
    }

    /// 500. Logs the whole chain of causes here, once; the client sees none of it.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = chain(error), "internal error");
        Self::from_status(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// 503 with `Retry-After`; `detail` names what is missing, without internals.
    pub fn unavailable(retry_after: Duration, detail: impl Into<String>) -> Self {
        Self::from_status(StatusCode::SERVICE_UNAVAILABLE)
            .with_detail(detail)
            .with_retry_after(retry_after)
    }

    /// 503 with `Retry-After`: the request was refused before anything was done for it.
    pub fn overloaded(retry_after: Duration) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded",
            "There is too much to do at the moment",
        )
        .with_retry_after(retry_after)
    }

    /// 504: a service behind this one did not answer in time.
    pub fn gateway_timeout() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "gateway-timeout",
            "A service behind this one did not answer in time",
        )
    }

    /// 504: this service itself did not finish in the time that the caller, or the door, gives it.
    /// Whether the work was done is unknown, as with any answer that never came.
    pub fn deadline_exceeded() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "deadline-exceeded",
            "The request was not finished in time",
        )
    }

    /// Says what is special in this occurrence.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Another kind (`type` and `title`) with the same status.
    #[must_use]
    pub fn with_kind(
        mut self,
        slug: impl Into<Cow<'static, str>>,
        title: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.0.slug = slug.into();
        self.0.title = title.into();
        self
    }

    /// Adds a response header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Adds `Retry-After`: whole seconds, rounded up, at least 1.
    #[must_use]
    pub fn with_retry_after(self, after: Duration) -> Self {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The last part of its `type`.
    pub fn kind(&self) -> &str {
        &self.0.slug
    }

    /// What all of its kind have in common, in a few words.
    pub fn title(&self) -> &str {
        &self.0.title
    }

    /// What `Retry-After` says, in seconds.
    pub fn retry_after_s(&self) -> Option<u64> {
        let value = self.0.headers.get(header::RETRY_AFTER)?;
        value.to_str().ok()?.parse().ok()
    }

    /// What is special in this occurrence.
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// The wrong fields.
    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    /// The document as JSON; `types` is what its `type` starts with.
    pub(crate) fn document(
        &self,
        types: &str,
        instance: Option<&str>,
        trace_id: Option<&str>,
    ) -> Vec<u8> {
        let document = Document {
            r#type: format!("{types}{}", self.0.slug),
            title: &self.0.title,
            status: self.0.status.as_u16(),
            detail: self.0.detail.as_deref(),
            instance,
            trace_id,
            errors: &self.0.errors,
        };
        // Strings and numbers only: this cannot fail, and an error must not panic.
        serde_json::to_vec(&document).unwrap_or_default()
    }

    /// The answer with the whole document, for what answers outside of [`crate::http::standard`]. Arguments as for
    /// [`document`](Self::document).
    pub(crate) fn respond(&self, types: &str, instance: Option<&str>) -> Response {
        let mut response = Response::new(Body::from(self.document(types, instance, None)));
        *response.status_mut() = self.0.status;
        *response.headers_mut() = self.0.headers.clone();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.respond(RELATIVE_TYPES, None);
        // For http::standard, which writes the document again with what only it knows.
        response.extensions_mut().insert(self);
        response
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.0.status.as_u16(), self.0.title)?;
        self.0
            .detail
            .as_ref()
            .map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

impl std::error::Error for Problem {}
