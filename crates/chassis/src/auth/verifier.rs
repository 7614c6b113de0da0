//! Checks tokens.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};

use super::cache::TokenCache;
use super::keys::{FETCH_INTERVAL, KeyRing, KeySource, Lookup};
use super::{AuthError, Caller, Claims, Realm};
use crate::Shutdown;
use crate::health::Dependency;

/// How often the keys are fetched while all is well; a key that was withdrawn is believed no longer.
pub const REFRESH: Duration = Duration::from_secs(5 * 60);
/// The longest pause between two attempts to fetch the keys while the source is down.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// The longest token that is looked at, in bytes; ours have some 350.
const TOKEN_MAX_BYTES: usize = 4096;

/// Checks tokens; clones share keys and memory.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    realm: Realm,
    keys: KeyRing,
    verified: Arc<TokenCache>,
    validation: Validation,
}

impl Verifier {
    /// A verifier of the tokens of `realm`, which fetches keys from `source` when it first needs them; see also
    /// [`keep_fresh`](Self::keep_fresh).
    pub fn new(realm: Realm, source: Arc<dyn KeySource>) -> Self {
        let verified = Arc::new(TokenCache::default());
        let forget = Arc::clone(&verified);
        Self(Arc::new(Inner {
            realm,
            keys: KeyRing::new(source, move || forget.clear()),
            verified,
            validation: validation(&realm),
        }))
    }

    /// Checks a token (without `Bearer`): signature, `exp`, `nbf` if there is one, `iss`, `aud`, and that the realm has the `role`.
    ///
    /// An unknown key id makes the keys be fetched again, once for all who wait and at most once a
    /// second; an id that was not among them is remembered for a while.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn verify(&self, token: &str) -> Result<Caller, AuthError> {
        if token.is_empty() {
            return Err(AuthError::Missing);
        }
        if token.len() > TOKEN_MAX_BYTES {
            return Err(AuthError::Invalid);
        }
        if let Some(caller) = self.0.verified.get(token) {
            return Ok(caller);
        }
        // Only the key's id is read from what is not verified yet. `alg` is compared, never obeyed;
        // `none` and what jsonwebtoken does not know fail to parse here.
        let header = jsonwebtoken::decode_header(token).map_err(|_| AuthError::Invalid)?;
        if header.alg != Algorithm::EdDSA {
            return Err(AuthError::Invalid);
        }
        // RFC 7515 section 4.1.11: what is named there must be understood, and nothing of it is here.
        if header.crit.is_some() {
            return Err(AuthError::Invalid);
        }
        let kid = header.kid.ok_or(AuthError::Invalid)?;
        match self.0.keys.find(&kid).await {
            Lookup::Found(key) => self.check(token, &key),
            Lookup::Unknown => Err(AuthError::Invalid),
            Lookup::Unavailable(reason) => {
                tracing::debug!(reason, "keys unavailable");
                Err(AuthError::KeysUnavailable)
            }
        }
    }

    fn check(&self, token: &str, key: &DecodingKey) -> Result<Caller, AuthError> {
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.0.validation)
            .map_err(|error| {
                tracing::debug!(%error, "token refused");
                AuthError::Invalid
            })?
            .claims;
        let role = self.0.realm.role(&claims.role).ok_or_else(|| {
            tracing::debug!(role = claims.role, "token refused: unknown role");
            AuthError::Invalid
        })?;
        let caller = Caller {
            user_id: claims.sub,
            role,
            token: token.to_owned(),
        };
        self.0.verified.put(&caller, claims.exp);
        Ok(caller)
    }

    /// Fetches the keys at once and every [`REFRESH`], and reports on the source. Runs until the
    /// shutdown.
    pub async fn keep_fresh(self, dependency: Dependency, shutdown: Shutdown) {
        let mut backoff = backoff::Backoff::new(FETCH_INTERVAL / 2, RETRY_MAX);
        loop {
            let pause = match self.0.keys.refresh().await {
                Ok(()) => {
                    dependency.up();
                    backoff.reset();
                    REFRESH
                }
                Err(reason) => {
                    dependency.down(reason);
                    backoff.next()
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

fn validation(realm: &Realm) -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[realm.issuer]);
    validation.set_audience(&[realm.audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    // Not issued by us, but whoever holds a key may, and then it means what it says.
    validation.validate_nbf = true;
    // By the checker's clock, to the second.
    validation.leeway = 0;
    // RFC 7519: not valid "on or after" `exp`; without this jsonwebtoken lets that second pass.
    validation.reject_tokens_expiring_in_less_than = 1;
    validation
}
