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
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;

use super::Shared;
use crate::error::RETRY_AFTER;

/// How long a fetched document is served before it is fetched again. A key is published long before it is used, so this delay
/// does no harm; and requests to this open path do not load users.
const FRESH: Duration = Duration::from_secs(10);
/// How long a request waits for users to say whether there are newer keys than those at hand.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long the keys at hand are served before users is asked again, if it did not answer.
const AGAIN: Duration = Duration::from_secs(1);

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
    known: Mutex<Option<Known>>,
    /// Held while fetching, so that concurrent requests cause one fetch.
    fetching: tokio::sync::Mutex<()>,
}

/// A document that was fetched.
#[derive(Clone)]
struct Known {
    document: Bytes,
    /// Until when it is served without fetching it again.
    fresh_until: Instant,
}

impl Jwks {
    pub(crate) fn new(source: Arc<dyn KeySource>) -> Self {
        Self {
            source,
            known: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    async fn document(&self) -> Result<Bytes, Problem> {
        let known = self.known.lock().clone();
        let Some(known) = known else {
            return self.first().await;
        };
        if Instant::now() < known.fresh_until {
            return Ok(known.document);
        }
        // The keys at hand are still good: one request fetches the next ones for a moment, and no other waits for it.
        let Ok(_fetching) = self.fetching.try_lock() else {
            return Ok(known.document);
        };
        match timeout(PATIENCE, self.fetch()).await {
            Ok(Ok(document)) => Ok(document),
            Ok(Err(_)) | Err(_) => {
                self.keep(known.document.clone(), AGAIN);
                Ok(known.document)
            }
        }
    }

    /// The document if there was none yet. All who ask wait for the one fetch.
    async fn first(&self) -> Result<Bytes, Problem> {
        let _fetching = self.fetching.lock().await;
        let known = self.known.lock().clone();
        match known {
            Some(known) => Ok(known.document),
            None => self.fetch().await,
        }
    }

    async fn fetch(&self) -> Result<Bytes, Problem> {
        let keys = self.source.fetch().await.map_err(|error| {
            // No warning: the verifier of tokens needs the keys, too, and reports the outage.
            tracing::debug!(%error, "the keys cannot be fetched");
            Problem::unavailable(RETRY_AFTER, "the keys cannot be had at the moment")
        })?;
        let document = serde_json::to_vec(&keys).map_err(|error| Problem::internal(&error))?;
        let document = Bytes::from(document);
        self.keep(document.clone(), FRESH);
        Ok(document)
    }

    fn keep(&self, document: Bytes, fresh: Duration) {
        let fresh_until = Instant::now() + fresh;
        *self.known.lock() = Some(Known {
            document,
            fresh_until,
        });
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use chassis::BoxError;
    use chassis::auth::JwkSet;
    use futures::FutureExt as _;

    use super::*;

    /// Never answers.
    #[derive(Default)]
    struct Hanging(AtomicUsize);

    #[tonic::async_trait]
    impl KeySource for Hanging {
        async fn fetch(&self) -> Result<JwkSet, BoxError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn old_keys_are_served_while_users_hangs() {
        let source = Arc::<Hanging>::default();
        let jwks = Jwks::new(source.clone());
        let old = Bytes::from_static(b"old");
        jwks.keep(old.clone(), Duration::ZERO);
        // One waits for a moment, and no other waits at all.
        let mut first = Box::pin(jwks.document());
        assert!(first.as_mut().now_or_never().is_none());
        for _ in 0..9 {
            let served = jwks.document().now_or_never().expect("the old keys");
            assert_eq!(served.unwrap(), old);
        }
        let served = timeout(60 * PATIENCE, first).await.expect("only a moment");
        assert_eq!(served.unwrap(), old);
        assert_eq!(source.0.load(Ordering::SeqCst), 1);
    }
}
