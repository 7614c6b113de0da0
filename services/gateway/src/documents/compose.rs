//! The document of the public API: the gateway's own operations, and those of the services that it passes on, by their
//! public paths and with what the gateway itself can refuse them with.

use chassis::openapi::{self, COMMON, DocumentError, Info};
use chassis::problem::{Kind, kinds};
use contracts::problems;
use serde_json::Value;

use crate::rest;
use crate::routes::{Routes, Upstream};

/// The name of the first version of the API: it is below `/api/v1`, and below `/api`.
pub const V1: &str = "v1";
/// Where it is.
const ROOT: &str = "/api/v1";

/// What the outer door and the way to the services behind can refuse beside what any service can.
const OUTER: &[Kind] = &[
    kinds::BAD_REQUEST,
    kinds::REQUEST_TIMEOUT,
    kinds::PAYLOAD_TOO_LARGE,
    kinds::UNSUPPORTED_CONTENT_CODING,
    kinds::URI_TOO_LONG,
    kinds::HEADERS_TOO_LARGE,
    kinds::TOO_MANY_REQUESTS,
    kinds::INTERNAL_ERROR,
    kinds::BAD_GATEWAY,
    kinds::UNAVAILABLE,
    kinds::OVERLOADED,
    kinds::GATEWAY_TIMEOUT,
    kinds::DEADLINE_EXCEEDED,
];

/// The OpenAPI document of version 1 of the public API. `orders` and `products` are the documents of what `routes` passes on.
///
/// # Errors
/// A mistake of ours in the descriptions of the routes, or two schemas of one name in the three documents.
pub fn openapi(routes: &Routes, orders: &Value, products: &Value) -> Result<Value, DocumentError> {
    debug_assert!(COMMON.iter().all(|kind| OUTER.contains(kind)));
    let mut document = rest::described(
        ROOT,
        &Info {
            title: "Agora",
            version: "1",
            description: include_str!("v1.md"),
            refusals: OUTER,
            kinds: every_kind,
        },
    )?;
    for route in &routes.0 {
        let behind = match route.upstream {
            Upstream::Orders => orders,
            Upstream::Products => products,
        };
        let public = format!("{ROOT}{}", route.prefix);
        take(&mut document, behind, &route.target, &public)?;
    }
    openapi::complete(&mut document, &every_kind());
    Ok(document)
}

fn every_kind() -> Vec<Kind> {
    problems::all().copied().collect()
}

/// Takes from the document of a service what is at `target` and below it, as it is at `public`.
fn take(
    document: &mut Value,
    behind: &Value,
    target: &str,
    public: &str,
) -> Result<(), DocumentError> {
    for (path, item) in behind["paths"].as_object().into_iter().flatten() {
        let rest = match path.strip_prefix(target) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
            _ => continue,
        };
        let mut item = item.clone();
        for (_, operation) in item.as_object_mut().into_iter().flatten() {
            openapi::refuse(operation, OUTER);
        }
        document["paths"][format!("{public}{rest}")] = item;
    }
    let schemas = behind["components"]["schemas"].as_object();
    for (name, schema) in schemas.into_iter().flatten() {
        let known = &mut document["components"]["schemas"][name];
        if !known.is_null() && known != schema {
            return Err(DocumentError::TwoSchemas(name.clone()));
        }
        *known = schema.clone();
    }
    Ok(())
}
