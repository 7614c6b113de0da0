//! An issuer of tokens, as `users` is one: keys that rotate, and a source that can be down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::BoxError;
use chassis::auth::{Claims, JwkSet, KeySource, Realm, Role};
use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use parking_lot::Mutex;
use serde::Serialize;
use uuid::Uuid;

/// What stands before the 32 bytes of an Ed25519 key in PKCS #8.
const PKCS8_ED25519: &[u8] = &[
    0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
];

pub(crate) struct Key {
    pub(crate) kid: String,
    seed: [u8; 32],
}

impl Key {
    pub(crate) fn new(kid: &str, seed: u8) -> Self {
        Self {
            kid: kid.to_owned(),
            seed: [seed; 32],
        }
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        SigningKey::from_bytes(&self.seed)
            .verifying_key()
            .to_bytes()
    }

    pub(crate) fn jwk(&self) -> serde_json::Value {
        let x = URL_SAFE_NO_PAD.encode(self.public());
        serde_json::json!({"kid": self.kid, "kty": "OKP", "crv": "Ed25519", "x": x, "alg": "EdDSA", "use": "sig"})
    }

    pub(crate) fn sign(&self, claims: &impl Serialize) -> String {
        let header = Header {
            kid: Some(self.kid.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        self.sign_with(&header, claims)
    }

    pub(crate) fn sign_with(&self, header: &Header, claims: &impl Serialize) -> String {
        let der = [PKCS8_ED25519, &self.seed].concat();
        jsonwebtoken::encode(header, claims, &EncodingKey::from_ed_der(&der)).unwrap()
    }

    /// A token of a [`READER`], good for a minute.
    pub(crate) fn token(&self) -> String {
        self.sign(&claims())
    }
}

/// Sees what is theirs.
pub(crate) const READER: Role = Role::user("reader");
/// Sees everything.
pub(crate) const KEEPER: Role = Role::admin("keeper");
pub(crate) const REALM: Realm = Realm {
    issuer: "library",
    audience: "readers",
    roles: &[READER, KEEPER],
};

pub(crate) fn claims() -> Claims {
    REALM.claims(Uuid::now_v7(), READER, Duration::from_secs(60))
}

#[derive(Default)]
pub(crate) struct Source {
    keys: Mutex<Vec<serde_json::Value>>,
    pub(crate) down: AtomicBool,
    /// Answers take a second.
    pub(crate) slow: AtomicBool,
    pub(crate) fetches: AtomicUsize,
}

impl Source {
    pub(crate) fn with(keys: &[&Key]) -> Arc<Self> {
        let source = Arc::new(Self::default());
        source.publish(keys);
        source
    }

    pub(crate) fn publish(&self, keys: &[&Key]) {
        *self.keys.lock() = keys.iter().map(|key| key.jwk()).collect();
    }

    pub(crate) fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl KeySource for Source {
    async fn fetch(&self) -> Result<JwkSet, BoxError> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        // As with a real one, others have their turn, and ask, while a fetch is under way.
        tokio::task::yield_now().await;
        if self.slow.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        if self.down.load(Ordering::SeqCst) {
            return Err("the source is down".into());
        }
        let keys = self.keys.lock().clone();
        Ok(serde_json::from_value(serde_json::json!({ "keys": keys }))?)
    }
}
