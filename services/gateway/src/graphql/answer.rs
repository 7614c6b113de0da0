//! The answer over HTTP.

use async_graphql::{Response, ServerError, Value};
use axum::response::IntoResponse;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::refusal::Refusal;

/// The media type of a server that says by its status whether there is an answer at all.
const GRAPHQL_JSON: &str = "application/graphql-response+json";
/// Most errors of one answer: a document that is wrong all over is wrong in a few ways.
const ERRORS_MAX: usize = 100;

/// What is sent. `data` is absent if nothing was executed.
#[derive(Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ServerError>,
}

/// What was executed: 200, whichever of its fields have failed. 400 for what was not, since it does not fit the schema.
pub(super) fn executed(response: Response, headers: &HeaderMap) -> axum::response::Response {
    let Response { data, errors, .. } = coded(response);
    // Every field at the top can be null: only what was not executed has no data.
    match data {
        Value::Null => answer(StatusCode::BAD_REQUEST, None, errors, headers),
        data => answer(StatusCode::OK, Some(data), errors, headers),
    }
}

/// The same with a code for each error, and not more of them than anybody reads.
pub(super) fn coded(mut response: Response) -> Response {
    response.errors.truncate(ERRORS_MAX);
    // What the library says, of the document.
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

/// What is not executed.
pub(super) fn refused(refusal: Refusal, headers: &HeaderMap) -> axum::response::Response {
    let status = match refusal.problem.status() {
        // Nobody sent the query yet: the client sends it then, and some look at nothing else if the status is no success.
        StatusCode::NOT_FOUND => StatusCode::OK,
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
    // An answer may hold a token, and what only its caller may see.
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
    let accepts = |value: &HeaderValue| value.to_str().is_ok_and(|it| it.contains(GRAPHQL_JSON));
    if headers.get_all(header::ACCEPT).iter().any(accepts) {
        GRAPHQL_JSON
    } else {
        "application/json"
    }
}
