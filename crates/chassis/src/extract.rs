//! axum extractors that refuse with a [`Problem`] instead of axum's plain text.

mod document;
mod errors;

use std::time::Duration;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use deserr::Deserr;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use crate::auth::Caller;
use crate::http::body_limit;
use crate::problem::Problem;

pub use document::{Document, from_json};
pub use errors::BodyErrors;

/// How long a JSON body may take to arrive.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A JSON body.
///
/// | refused with | when |
/// |---|---|
/// | 415 | the content type is not JSON |
/// | 408 | it takes longer than [`BODY_TIMEOUT`] to arrive |
/// | 413 | it is larger than [`crate::http::standard`] allows |
/// | 400 | it is empty, cut off, not JSON or not UTF-8 |
/// | 422 | a field is missing, of the wrong type or given twice; `errors` has the JSON pointer of each |
///
/// A number without a fraction counts as an integer however it is written: `2`, `2.0` and `2e0` are one value.
///
/// The type derives [`Deserr`] and not serde's `Deserialize`, which stops at the first error.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<T: Deserr<BodyErrors>, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(&request) {
            return Err(Problem::unsupported_media_type());
        }
        let collected = tokio::time::timeout(BODY_TIMEOUT, request.into_body().collect());
        let bytes = match collected.await {
            Ok(body) => body.map_err(|error| unreadable(&error))?.to_bytes(),
            Err(_) => return Err(Problem::from_status(StatusCode::REQUEST_TIMEOUT)),
        };
        from_json(&bytes).map(Self)
    }
}

fn is_json(request: &Request) -> bool {
    let Some(value) = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let essence = value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn unreadable(error: &axum::Error) -> Problem {
    body_limit::exceeded(error).map_or_else(
        || Problem::bad_request("the body ended before it was complete"),
        Problem::payload_too_large,
    )
}

/// Query parameters; invalid ones are refused with a 400 that names the error.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(QueryRejection::FailedToDeserializeQueryString(error)) => {
                let text = std::error::Error::source(&error)
                    .map_or_else(|| error.to_string(), ToString::to_string);
                Err(Problem::bad_request(format!("query: {text}")))
            }
            Err(error) => Err(Problem::bad_request(error.to_string())),
        }
    }
}

/// Path parameters; an unparsable one (`/orders/not-a-uuid`) is answered with 404, since no such resource can exist.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(_)) => Err(Problem::not_found()),
            // The route and the handler do not match: a mistake in the service.
            Err(error) => Err(Problem::internal(&error)),
        }
    }
}

/// The caller, if there is one: for public routes that show more to authenticated callers. [`Caller`] itself is the
/// extractor that refuses with 401.
#[derive(Debug, Clone)]
pub struct OptionalCaller(pub Option<Caller>);

impl<S: Send + Sync> FromRequestParts<S> for OptionalCaller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.extensions.get::<Caller>().cloned()))
    }
}
