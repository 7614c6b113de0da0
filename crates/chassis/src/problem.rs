//! Problem documents (RFC 9457): the form of every HTTP error.
//!
//! `type` is always [`ServiceInfo::problem_types`](crate::ServiceInfo::problem_types) plus a slug, never `about:blank`: a
//! client can tell every kind apart by one string, and look up there what it means. Kinds are declared with
//! [`kinds!`](crate::kinds), which asks for that text; those that any service has are in [`kinds`].

mod kind;
pub mod kinds;

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::fatal::chain;

pub use axum::http::StatusCode;
pub use kind::Kind;

/// What every `type` starts with where the service says nothing else: a reference to the host that was asked.
pub(crate) const RELATIVE_TYPES: &str = "/problems/";
/// The media type of a problem document.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// The most invalid fields that one problem lists; the others are only counted.
pub const ERRORS_MAX: usize = 100;

/// One invalid field of a request body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to the field: `/items/0/quantity`; the empty string is the whole body.
    pub pointer: String,
    /// An explanation of the error, for a person.
    pub detail: String,
}

impl FieldError {
    /// An error of the field at `pointer` for the reason `detail`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }
}

/// An error as the client sees it. Create one with the constructor of its status and return it from a handler.
///
/// `instance`, `trace_id` and the prefix of `type` are filled in by [`crate::http::standard`], which knows the request
/// and the service.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: Kind,
    /// The kind's own, but for the kinds that stand for several.
    status: StatusCode,
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
    /// One of this kind.
    pub fn of(kind: Kind) -> Self {
        Self(Box::new(Inner {
            kind,
            status: kind.status,
            detail: None,
            errors: Vec::new(),
            headers: HeaderMap::new(),
        }))
    }

    /// The generic kind for a status.
    pub fn from_status(status: StatusCode) -> Self {
        match status {
            StatusCode::BAD_REQUEST => Self::of(kinds::BAD_REQUEST),
            StatusCode::UNAUTHORIZED => Self::unauthorized(),
            StatusCode::FORBIDDEN => Self::forbidden(),
            StatusCode::NOT_FOUND => Self::not_found(),
            StatusCode::METHOD_NOT_ALLOWED => Self::of(kinds::METHOD_NOT_ALLOWED),
            StatusCode::NOT_ACCEPTABLE => Self::of(kinds::NOT_ACCEPTABLE),
            StatusCode::REQUEST_TIMEOUT => Self::of(kinds::REQUEST_TIMEOUT),
            StatusCode::CONFLICT => Self::of(kinds::CONFLICT),
            StatusCode::PAYLOAD_TOO_LARGE => Self::of(kinds::PAYLOAD_TOO_LARGE),
            StatusCode::URI_TOO_LONG => Self::of(kinds::URI_TOO_LONG),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self::of(kinds::HEADERS_TOO_LARGE),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::unsupported_media_type(),
            StatusCode::UNPROCESSABLE_ENTITY => Self::unprocessable(Vec::new()),
            StatusCode::TOO_MANY_REQUESTS => Self::of(kinds::TOO_MANY_REQUESTS),
            StatusCode::BAD_GATEWAY => Self::of(kinds::BAD_GATEWAY),
            StatusCode::SERVICE_UNAVAILABLE => Self::of(kinds::UNAVAILABLE),
            StatusCode::GATEWAY_TIMEOUT => Self::gateway_timeout(),
            _ if status.is_client_error() => Self::of(kinds::CLIENT_ERROR).with_status(status),
            _ => Self::of(kinds::INTERNAL_ERROR).with_status(status),
        }
    }

    fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// 400: the request cannot be read.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::from_status(StatusCode::BAD_REQUEST).with_detail(detail)
    }

    /// 401, with the `WWW-Authenticate` that goes with it.
    pub fn unauthorized() -> Self {
        Self::of(kinds::UNAUTHORIZED)
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 403: the caller is known, but not allowed. For resources of other users use [`not_found`](Self::not_found),
    /// since the answer must not reveal that they exist.
    pub fn forbidden() -> Self {
        Self::of(kinds::FORBIDDEN)
    }

    /// 404.
    pub fn not_found() -> Self {
        Self::of(kinds::NOT_FOUND)
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
        Self::of(kinds::UNSUPPORTED_MEDIA_TYPE).with_detail("send application/json")
    }

    /// 422: parsed, but invalid. Pass *all* invalid fields; the first [`ERRORS_MAX`] are listed.
    pub fn unprocessable(mut errors: Vec<FieldError>) -> Self {
        let more = errors.len().saturating_sub(ERRORS_MAX);
        errors.truncate(ERRORS_MAX);
        let mut problem = Self::of(kinds::UNPROCESSABLE);
        problem.0.errors = errors;
        problem.and_more(more)
    }

    /// Adds the number of invalid fields that are not listed.
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

    /// 500. Logs the whole chain of causes here, once; the client gets none of it.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = chain(error), "internal error");
        Self::from_status(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// 503 with `Retry-After`; `detail` names what is unavailable, without internals.
    pub fn unavailable(retry_after: Duration, detail: impl Into<String>) -> Self {
        Self::from_status(StatusCode::SERVICE_UNAVAILABLE)
            .with_detail(detail)
            .with_retry_after(retry_after)
    }

    /// 503 with `Retry-After`: the request was refused before any work was done for it.
    pub fn overloaded(retry_after: Duration) -> Self {
        Self::of(kinds::OVERLOADED).with_retry_after(retry_after)
    }

    /// 504: a service behind this one did not answer in time.
    pub fn gateway_timeout() -> Self {
        Self::of(kinds::GATEWAY_TIMEOUT)
    }

    /// 504: this service itself did not finish in the time that the caller or the door allows. Whether the work was
    /// done is unknown, as with any missing answer.
    pub fn deadline_exceeded() -> Self {
        Self::of(kinds::DEADLINE_EXCEEDED)
    }

    /// Sets the explanation of this occurrence.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Another kind, whose status it takes; detail, errors and headers stay.
    #[must_use]
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self.with_status(kind.status)
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

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.0.status
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

    /// The invalid fields.
    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    /// The document as JSON; `types` is the prefix of its `type`.
    pub(crate) fn document(
        &self,
        types: &str,
        instance: Option<&str>,
        trace_id: Option<&str>,
    ) -> Vec<u8> {
        let document = Document {
            r#type: format!("{types}{}", self.0.kind.slug),
            title: self.0.kind.title,
            status: self.0.status.as_u16(),
            detail: self.0.detail.as_deref(),
            instance,
            trace_id,
            errors: &self.0.errors,
        };
        // The document has only strings and numbers, so that this cannot fail; an error must never panic.
        serde_json::to_vec(&document).unwrap_or_default()
    }

    /// The complete answer, for code outside of [`crate::http::standard`]. Arguments as for
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
        // For http::standard, which writes the document again with the fields that only it knows.
        response.extensions_mut().insert(self);
        response
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.0.status.as_u16(), self.0.kind.title)?;
        self.0
            .detail
            .as_ref()
            .map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

impl std::error::Error for Problem {}
