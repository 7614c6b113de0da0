//! The document of the public API: the gateway's own operations and those that it passes on, with their public paths and the
//! problems that the gateway itself can answer.

use chassis::openapi::{self, COMMON, DocumentError, Info};
use chassis::problem::{Kind, kinds};
use contracts::problems;
use serde_json::Value;

use super::deprecation;
use crate::rest;
use crate::routes::{Routes, Upstream};
use crate::versions::Version;

/// The problems of the gateway's limits and its calls to the services behind, besides those of every service.
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

/// The operations of one version of the API that are passed on.
#[derive(Debug)]
pub struct PassedOn<'a> {
    /// The version.
    pub version: Version,
    /// The prefixes that are passed on, with their targets.
    pub routes: &'a Routes,
    /// The document of orders in this version.
    pub orders: Value,
    /// The document of products in this version.
    pub products: Value,
}

/// The OpenAPI documents of the public API, one for each version, in the given order. Operations that a version's successor
/// also has are marked as deprecated.
///
/// # Errors
/// If the descriptions of the routes are inconsistent, or two of the documents have different schemas of one name.
pub fn openapi(passed_on: &[PassedOn<'_>]) -> Result<Vec<(Version, Value)>, DocumentError> {
    debug_assert!(COMMON.iter().all(|kind| OUTER.contains(kind)));
    let mut documents = Vec::with_capacity(passed_on.len());
    for passed_on in passed_on {
        documents.push((passed_on.version, of_version(passed_on)?));
    }
    let newer = documents.clone();
    for (version, document) in &mut documents {
        let successors = newer
            .iter()
            .find(|(newer, _)| Some(*newer) == version.successor());
        if let Some((next, successors)) = successors {
            deprecation::mark(document, *version, *next, successors);
        }
    }
    Ok(documents)
}

fn of_version(passed_on: &PassedOn<'_>) -> Result<Value, DocumentError> {
    let version = passed_on.version;
    let (number, description) = match version {
        Version::V1 => ("1", include_str!("v1.md")),
        Version::V2 => ("2", include_str!("v2.md")),
    };
    let mut document = rest::described(
        version,
        &Info {
            title: "Agora",
            version: number,
            description,
            refusals: OUTER,
            kinds: every_kind,
        },
    )?;
    for route in &passed_on.routes.0 {
        let behind = match route.upstream {
            Upstream::Orders => &passed_on.orders,
            Upstream::Products => &passed_on.products,
        };
        let public = format!("{}{}", version.root(), route.prefix);
        take(&mut document, behind, &route.target, &public)?;
    }
    openapi::complete(&mut document, &every_kind());
    Ok(document)
}

fn every_kind() -> Vec<Kind> {
    problems::all().copied().collect()
}

/// Copies the paths at and below `target` from a service's document, renamed to `public`.
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
