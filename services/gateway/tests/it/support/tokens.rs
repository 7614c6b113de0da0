//! Whoever signs tokens.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::auth::{Claims, Role};
use contracts::identity::REALM;
use contracts::users::v1::Key;
use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use uuid::Uuid;

/// PKCS#8 of an Ed25519 key up to the 32 bytes of its seed (RFC 8410 section 7).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
];

/// A key pair with an id.
#[derive(Clone)]
pub(crate) struct Issuer {
    pub(crate) kid: &'static str,
    seed: [u8; 32],
}

impl Issuer {
    /// The one whose keys the fake users service publishes.
    pub(crate) const TRUSTED: Self = Self {
        kid: "key-1",
        seed: [7; 32],
    };
    /// Somebody who claims to be it.
    pub(crate) const FORGER: Self = Self {
        kid: "key-1",
        seed: [66; 32],
    };
    /// Somebody with a key of their own.
    pub(crate) const STRANGER: Self = Self {
        kid: "key-9",
        seed: [9; 32],
    };

    /// The public half, as users publishes it.
    pub(crate) fn public_key(&self) -> Key {
        let public = SigningKey::from_bytes(&self.seed).verifying_key();
        Key {
            kid: self.kid.to_owned(),
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: URL_SAFE_NO_PAD.encode(public.as_bytes()),
            alg: "EdDSA".to_owned(),
            r#use: "sig".to_owned(),
        }
    }

    pub(crate) fn sign(&self, claims: &Claims) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.kid.to_owned());
        let key = EncodingKey::from_ed_der(&[&PKCS8_PREFIX[..], &self.seed].concat());
        jsonwebtoken::encode(&header, claims, &key).unwrap()
    }
}

/// A good token.
pub(crate) fn token_for(user_id: Uuid, role: Role) -> String {
    Issuer::TRUSTED.sign(&REALM.claims(user_id, role, Duration::from_secs(600)))
}
