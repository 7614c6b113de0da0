//! What an operation can be refused with, in a document.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{DocumentError, Info, METHODS};
use crate::problem::{CONTENT_TYPE, Kind, RELATIVE_TYPES, kinds};

/// What any operation of any service can be refused with. A body is read, and bounded, whether it is asked for or not.
pub const COMMON: &[Kind] = &[
    kinds::BAD_REQUEST,
    kinds::REQUEST_TIMEOUT,
    kinds::PAYLOAD_TOO_LARGE,
    kinds::UNSUPPORTED_CONTENT_CODING,
    kinds::INTERNAL_ERROR,
    kinds::UNAVAILABLE,
    kinds::OVERLOADED,
    kinds::DEADLINE_EXCEEDED,
];

/// What those can be refused with that read a body.
const WITH_BODY: &[Kind] = &[kinds::UNSUPPORTED_MEDIA_TYPE, kinds::UNPROCESSABLE];

/// What `WWW-Authenticate` says.
const CHALLENGE: &str =
    "`Bearer`; with `error=\"invalid_token\"` where there was a token (RFC 6750).";
/// What `RateLimit` says. Not every 429 is about a budget.
const BUDGET: &str = "Of a budget that is used up: its name, `r=0`, and `t`, the seconds until there is more \
    (draft-ietf-httpapi-ratelimit-headers).";
/// What `RateLimit-Policy` says.
const POLICY: &str = "The size of that budget: its name, and `q` in `w` seconds.";

/// Where a handler names the kinds that do not follow from its shape.
const EXTENSION: &str = "x-problems";
/// What the references to problems begin with; the name behind it is the status and the slugs, joined by dots.
const RESPONSES: &str = "#/components/responses/";

/// Writes to each operation what follows from its shape, from `info` and from the extension.
pub(super) fn by_shape(document: &mut Value, info: &Info) -> Result<(), DocumentError> {
    let known = (info.kinds)();
    let mut ids = BTreeSet::new();
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (path, item) in paths {
        let members = item.as_object_mut().into_iter().flatten();
        for (_, operation) in members.filter(|(method, _)| METHODS.contains(&method.as_str())) {
            let id = operation["operationId"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let mut refusals = info.refusals.to_vec();
            if path.contains('{') {
                refusals.push(kinds::NOT_FOUND);
            }
            if operation.get("security").is_some() {
                refusals.push(kinds::UNAUTHORIZED);
            }
            if operation.get("requestBody").is_some() {
                refusals.extend(WITH_BODY);
            }
            let own = operation
                .as_object_mut()
                .and_then(|members| members.remove(EXTENSION));
            for slug in own.iter().filter_map(Value::as_array).flatten() {
                let kind = known.iter().find(|kind| kind.slug == slug);
                refusals.push(*kind.ok_or_else(|| DocumentError::UnknownKind {
                    operation: id.clone(),
                    slug: slug.as_str().unwrap_or_default().to_owned(),
                })?);
            }
            refuse(operation, &refusals);
            if !ids.insert(id.clone()) {
                return Err(DocumentError::TwoOperations(id));
            }
        }
    }
    Ok(())
}

/// Adds to an operation that it can be refused with these kinds, beside those that it has already.
pub fn refuse(operation: &mut Value, refusals: &[Kind]) {
    let Some(responses) = operation["responses"].as_object_mut() else {
        return;
    };
    let mut by_status: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for kind in refusals {
        by_status
            .entry(kind.status.as_str().to_owned())
            .or_default()
            .insert(kind.slug);
    }
    for (status, mut slugs) in by_status {
        let before = responses.get(&status).and_then(name).map(str::to_owned);
        slugs.extend(before.iter().flat_map(|name| name.split('.').skip(1)));
        let slugs: Vec<_> = slugs.into_iter().collect();
        let name = format!("{RESPONSES}{status}.{}", slugs.join("."));
        responses.insert(status, json!({"$ref": name}));
    }
}

/// The name of the problems that a response refers to.
fn name(response: &Value) -> Option<&str> {
    response["$ref"].as_str()?.strip_prefix(RESPONSES)
}

/// Writes the problems that the operations refer to, and no others, into the document's components, and leaves out the schemas
/// that nothing refers to. `known` are all kinds.
pub fn complete(document: &mut Value, known: &[Kind]) {
    let mut responses = Map::new();
    for (_, _, operation) in super::operations(document) {
        let answers = operation["responses"].as_object().into_iter().flatten();
        for name in answers.filter_map(|(_, response)| name(response)) {
            let kinds = name.split('.').skip(1);
            let kinds: Vec<_> = kinds
                .filter_map(|slug| known.iter().find(|kind| kind.slug == slug))
                .collect();
            responses.insert(name.to_owned(), response(&kinds));
        }
    }
    document["components"]["responses"] = responses.into();
    super::unused::leave_out(document);
}

/// The kinds of one status.
fn response(kinds: &[&Kind]) -> Value {
    let said = kinds
        .iter()
        .map(|kind| format!("`{RELATIVE_TYPES}{}`: {}", kind.slug, kind.meaning));
    let examples: Map<String, Value> = kinds
        .iter()
        .map(|kind| (kind.slug.to_owned(), example(kind)))
        .collect();
    let mut response = json!({
        "description": said.collect::<Vec<_>>().join("\n\n"),
        "content": {
            CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples},
        },
    });
    let headers = headers(kinds);
    if !headers.is_empty() {
        response["headers"] = headers.into();
    }
    response
}

/// The headers of problems of one status.
fn headers(kinds: &[&Kind]) -> Map<String, Value> {
    let text = |about: &str| json!({"description": about, "schema": {"type": "string"}});
    let mut headers = Map::new();
    // Whoever is told to read it must find it in the document, too.
    if kinds
        .iter()
        .any(|kind| kind.remedy.contains("`Retry-After`"))
    {
        let after = json!({
            "description": "When to come back, in seconds.",
            "schema": {"type": "integer", "minimum": 1},
        });
        headers.insert("Retry-After".to_owned(), after);
    }
    match kinds.first().map_or(0, |kind| kind.status.as_u16()) {
        401 => {
            headers.insert("WWW-Authenticate".to_owned(), text(CHALLENGE));
        }
        429 => {
            headers.insert("RateLimit".to_owned(), text(BUDGET));
            headers.insert("RateLimit-Policy".to_owned(), text(POLICY));
        }
        _ => {}
    }
    headers
}

fn example(kind: &Kind) -> Value {
    let mut value = json!({
        "type": format!("{RELATIVE_TYPES}{}", kind.slug),
        "title": kind.title,
        "status": kind.status.as_u16(),
    });
    if *kind == kinds::UNPROCESSABLE {
        value["errors"] = json!([{
            "pointer": "/items/0/quantity",
            "detail": "must be a whole number from 1 to 1000",
        }]);
    }
    json!({"summary": kind.title, "value": value})
}
