//! The answer over HTTP.

use async_graphql::{Response, ServerError, Value};
use axum::response::IntoResponse;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::accept;
use super::refusal::Refusal;

/// The media type whose HTTP status says whether the request was executed.
const GRAPHQL_JSON: &str = "application/graphql-response+json";
/// What everybody else reads.
const JSON: &str = "application/json";
/// The most errors of one answer; further ones would not help the client.
const ERRORS_MAX: usize = 100;

/// The body of an answer. `data` is absent if nothing was executed.
#[derive(Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ServerError>,
}

/// The answer to an executed request: 200, whichever fields failed; 400 if it was not executed because it violates the schema.
pub(super) fn executed(response: Response, headers: &HeaderMap) -> axum::response::Response {
    let Response { data, errors, .. } = coded(response);
    // Every top-level field is nullable, so data is only absent if nothing was executed.
    match data {
        Value::Null => answer(StatusCode::BAD_REQUEST, None, errors, headers),
        data => answer(StatusCode::OK, Some(data), errors, headers),
    }
}

/// The same with a code for each error, and at most [`ERRORS_MAX`] errors.
pub(super) fn coded(mut response: Response) -> Response {
    response.errors.truncate(ERRORS_MAX);
    // Errors of the library, which concern the document.
    for error in &mut response.errors {
        let coded = error.extensions.as_ref();
        if coded.is_none_or(|extensions| extensions.get("code").is_none()) {
            let at = error.locations.first().copied();
            let own: ServerError = Refusal::new(std::mem::take(&mut error.message)).into();
            error.message = own.message;
            error.extensions = own.extensions;
            error.locations = at.into_iter().collect();
        }
    }
    response
}

/// The answer to a request that is refused before execution.
pub(super) fn refused(refusal: Refusal, headers: &HeaderMap) -> axum::response::Response {
    let status = match refusal.problem.status() {
        // The query of this hash is unknown, and the client sends it next. Clients of plain JSON may ignore the body unless the
        // status is 200; those of the other type go by the status, where 200 means that there is data.
        StatusCode::NOT_FOUND if media_type(headers) == JSON => StatusCode::OK,
        status => status,
    };
    let at = refusal.at;
    let mut error: ServerError = refusal.into();
    if at.is_none() {
        error.locations.clear();
    }
    answer(status, None, vec![error], headers)
}

fn answer(
    status: StatusCode,
    data: Option<Value>,
    errors: Vec<ServerError>,
    headers: &HeaderMap,
) -> axum::response::Response {
    // An answer may contain a token, or data that only its caller may see.
    let fixed = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static(media_type(headers)),
        ),
    ];
    (status, fixed, axum::Json(Answer { data, errors })).into_response()
}

fn media_type(headers: &HeaderMap) -> &'static str {
    let wish = accept::weight(headers, GRAPHQL_JSON);
    if wish > 0.0 && wish >= accept::weight(headers, JSON) {
        GRAPHQL_JSON
    } else {
        JSON
    }
}
