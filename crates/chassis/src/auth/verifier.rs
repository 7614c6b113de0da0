//! Verification of tokens.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};

use super::cache::{Generation, TokenCache};
use super::keys::{FETCH_INTERVAL, KeyRing, KeySource, Lookup};
use super::{AuthError, Caller, Claims, Realm};
use crate::Shutdown;
use crate::health::Dependency;

/// How often the keys are fetched while the source works; a withdrawn key is accepted for at most this long.
pub const REFRESH: Duration = Duration::from_secs(5 * 60);
/// The longest pause between two attempts to fetch the keys while the source is down.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// The longest token that is accepted, in bytes; ours have some 350.
const TOKEN_MAX_BYTES: usize = 4096;

/// Verifies tokens; clones share the keys and the cache.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    realm: Realm,
    keys: KeyRing,
    verified: Arc<TokenCache>,
    validation: Validation,
}

impl Verifier {
    /// A verifier of the tokens of `realm`. It fetches keys from `source` when it first needs them; see also
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

    /// Checks a token (without `Bearer`): signature, `exp`, `nbf` if present, `iss`, `aud`, and that the realm has the
    /// `role`.
    ///
    /// An unknown key id causes the keys to be fetched again, once for all waiting requests and at most once a second;
    /// an id that is still unknown after that is remembered for a while.
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
        // Of the unverified token, only the key's id is used. `alg` is compared with the expected value and never
        // followed; `none` and algorithms unknown to jsonwebtoken fail to parse here.
        let header = jsonwebtoken::decode_header(token).map_err(|_| AuthError::Invalid)?;
        if header.alg != Algorithm::EdDSA {
            return Err(AuthError::Invalid);
        }
        // RFC 7515 section 4.1.11: every extension that `crit` names must be understood, and none is supported here.
        if header.crit.is_some() {
            return Err(AuthError::Invalid);
        }
        let kid = header.kid.ok_or(AuthError::Invalid)?;
        let generation = self.0.verified.generation();
        match self.0.keys.find(&kid).await {
            Lookup::Found(key) => self.check(token, &key, generation),
            Lookup::Unknown => Err(AuthError::Invalid),
            Lookup::Unavailable(reason) => {
                tracing::debug!(reason, "keys unavailable");
                Err(AuthError::KeysUnavailable)
            }
        }
    }

    /// Checks a token with a key that was looked up after `generation` was read.
    fn check(
        &self,
        token: &str,
        key: &DecodingKey,
        generation: Generation,
    ) -> Result<Caller, AuthError> {
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
        self.0.verified.put(&caller, claims.exp, generation);
        Ok(caller)
    }

    /// Fetches the keys at once and then every [`REFRESH`], and reports the source's state to `dependency`. Runs until
    /// the shutdown.
    ///
    /// Without any key the source is down. With those of before it is only degraded: whoever has signed in is let in, so
    /// an outage of the issuer must not make every service unready that checks its tokens.
    pub async fn keep_fresh(self, dependency: Dependency, shutdown: Shutdown) {
        let mut backoff = backoff::Backoff::new(FETCH_INTERVAL / 2, RETRY_MAX);
        let mut is_stale = false;
        loop {
            let pause = match self.0.keys.refresh().await {
                Ok(()) => {
                    if std::mem::take(&mut is_stale) {
                        tracing::info!(dependency = dependency.name(), "the keys are fresh again");
                    }
                    dependency.up();
                    backoff.reset();
                    REFRESH
                }
                Err(reason) if self.0.keys.are_known() => {
                    if !std::mem::replace(&mut is_stale, true) {
                        let dependency = dependency.name();
                        tracing::warn!(
                            dependency,
                            reason,
                            "the keys cannot be refreshed; those of before are used"
                        );
                    }
                    dependency.degraded(format!("{reason}; the keys of before are used"));
                    backoff.next()
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
    // Our issuer does not set `nbf`, but another holder of a key may, and then it must be respected.
    validation.validate_nbf = true;
    // By this machine's clock, to the second.
    validation.leeway = 0;
    // RFC 7519: not valid "on or after" `exp`; without this setting jsonwebtoken accepts the token in that second.
    validation.reject_tokens_expiring_in_less_than = 1;
    validation
}
