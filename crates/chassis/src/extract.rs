//! axum extractors that refuse with a [`Problem`] instead of axum's plain text.

use std::time::Duration;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use crate::auth::Caller;
use crate::http::body_limit;
use crate::problem::{FieldError, Problem};

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
/// | 422 | a field is missing or of the wrong type; `errors` has its JSON pointer |
///
/// serde stops at the first wrong *type*; the rules of the domain are checked by the service, which
/// reports all of them at once.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
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

/// Reads a body that was collected already, with the refusals of [`Json`].
///
/// # Errors
/// 400 or 422.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.is_empty() {
        return Err(Problem::bad_request(
            "the body is empty: send a JSON document",
        ));
    }
    if std::str::from_utf8(bytes).is_err() {
        return Err(Problem::bad_request("the body is not UTF-8"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| refuse(&error))?;
    json.end().map_err(|error| syntax(&error))?;
    Ok(value)
}

fn refuse(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    use serde_json::error::Category;
    if error.inner().classify() != Category::Data {
        return syntax(error.inner());
    }
    let reason = reason(error.inner());
    let mut pointer = pointer(error.path());
    // serde's path ends at the object that lacks the field; a form shows errors at the field.
    if let Some(field) = reason
        .strip_prefix("missing field `")
        .and_then(|rest| rest.strip_suffix('`'))
    {
        pointer.push_str(&token(field));
    }
    Problem::unprocessable(vec![FieldError::new(pointer, reason)])
}

fn syntax(error: &serde_json::Error) -> Problem {
    Problem::bad_request(format!("the body is not valid JSON: {error}"))
}

/// serde's message without its position, which means nothing next to a pointer.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ")
        .map_or(text.as_str(), |(reason, _)| reason)
        .to_owned()
}

/// RFC 6901.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(token(key)),
            // A variant of an enum and what serde cannot name have no place in the document.
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

fn token(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
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

/// Query parameters; 400 that names what is wrong.
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

/// Path parameters; 404 for what cannot be one (`/orders/not-a-uuid`): no such thing exists.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(_)) => Err(Problem::not_found()),
            // The route and the handler disagree: ours to repair.
            Err(error) => Err(Problem::internal(&error)),
        }
    }
}

/// Who is calling, if anybody: for routes that are open but answer more to those who signed in.
/// [`Caller`] itself is the extractor that refuses with 401.
#[derive(Debug, Clone)]
pub struct OptionalCaller(pub Option<Caller>);

impl<S: Send + Sync> FromRequestParts<S> for OptionalCaller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.extensions.get::<Caller>().cloned()))
    }
}
