//! The public keys that tokens are checked with, for clients that check tokens themselves.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use bytes::Bytes;
use chassis::auth::KeySource;
use chassis::openapi::{Routes, routes};
use chassis::problem::Problem;
use tokio::sync::Mutex;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::Shared;
use crate::error::RETRY_AFTER;

/// How long a fetched document is served before it is fetched again. A key is published long before it is used, so this delay
/// does no harm; and requests to this open path do not load users.
const FRESH: Duration = Duration::from_secs(10);

pub(super) fn routes() -> Routes<Shared> {
    Routes::below("").with(routes!(jwks))
}

/// A JWK set.
#[derive(ToSchema)]
#[schema(example = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "2026-11",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}))]
#[expect(dead_code, reason = "only its schema is used: users writes the keys")]
struct KeySet {
    /// One JWK for each key, with the `kid` that tokens name.
    keys: Vec<serde_json::Map<String, serde_json::Value>>,
}

/// The key set of users, cached for [`FRESH`].
pub(crate) struct Jwks {
    source: Arc<dyn KeySource>,
    /// Locked while fetching, so that concurrent requests cause one fetch.
    last: Mutex<Option<(Instant, Bytes)>>,
}

impl Jwks {
    pub(crate) fn new(source: Arc<dyn KeySource>) -> Self {
        Self {
            source,
            last: Mutex::new(None),
        }
    }

    async fn document(&self) -> Result<Bytes, Problem> {
        let mut last = self.last.lock().await;
        if let Some((fetched, document)) = &*last
            && fetched.elapsed() < FRESH
        {
            return Ok(document.clone());
        }
        match (self.source.fetch().await, &*last) {
            (Ok(keys), _) => {
                let document: Bytes = serde_json::to_vec(&keys)
                    .map_err(|error| Problem::internal(&error))?
                    .into();
                *last = Some((Instant::now(), document.clone()));
                Ok(document)
            }
            // The cached keys are still valid.
            (Err(_), Some((_, document))) => Ok(document.clone()),
            (Err(error), None) => {
                // No warning: the verifier of tokens needs the keys, too, and reports the outage.
                tracing::debug!(%error, "the keys cannot be fetched");
                Err(Problem::unavailable(
                    RETRY_AFTER,
                    "the keys cannot be had at the moment",
                ))
            }
        }
    }
}

/// The public keys that access tokens are checked with (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", operation_id = "getKeys", tag = "sessions",
    responses((status = 200, description = "The key set.", content_type = "application/jwk-set+json", body = KeySet)))]
async fn jwks(State(gateway): State<Shared>) -> Result<impl IntoResponse, Problem> {
    let headers = [
        (header::CONTENT_TYPE, "application/jwk-set+json"),
        (header::CACHE_CONTROL, "public, max-age=60"),
    ];
    Ok((headers, gateway.jwks.document().await?))
}
