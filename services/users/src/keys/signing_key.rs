//! One Ed25519 key pair.

use chassis::auth::Claims;
use chrono::{DateTime, Utc};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{
        AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, KeyAlgorithm,
        OctetKeyPairParameters, OctetKeyPairType, PublicKeyUse, ThumbprintHash,
    },
};
use rand::TryRngCore as _;

/// The bytes before the 32 bytes of an Ed25519 private key in PKCS #8 (RFC 8410 section 7), the form that jsonwebtoken
/// reads. Written as a constant, because it never varies and saves a DER library.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The errors of signing keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The database did not answer, or not as expected.
    #[error("signing keys: {0}")]
    Database(#[from] sqlx::Error),
    /// A stored key is not an Ed25519 key, or a token could not be signed.
    #[error("signing keys: {0}")]
    Crypto(#[from] jsonwebtoken::errors::Error),
    /// The operating system provided no randomness.
    #[error("signing keys: {0}")]
    Random(#[from] rand::rand_core::OsError),
    /// No key is active.
    #[error("no signing key is active")]
    NoKey,
}

/// A key pair and the time from which it signs. The private half cannot be printed.
#[derive(Clone)]
pub struct SigningKey {
    /// RFC 7638 thumbprint: identifies the key in token headers.
    pub kid: String,
    /// The public key, base64url without padding.
    pub public_x: String,
    /// The time from which it signs tokens.
    pub active_from: DateTime<Utc>,
    /// The private key.
    pub(super) seed: [u8; 32],
    private: EncodingKey,
}

impl SigningKey {
    /// A new key, from the operating system's randomness.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn generate(active_from: DateTime<Utc>) -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        rand::rngs::OsRng.try_fill_bytes(&mut seed)?;
        Self::from_seed(seed, active_from)
    }

    /// A stored key; the public half and the id are derived from the private one.
    ///
    /// # Errors
    /// None in practice: any 32 bytes are a valid Ed25519 key.
    pub fn from_seed(seed: [u8; 32], active_from: DateTime<Utc>) -> Result<Self, KeyError> {
        let private = EncodingKey::from_ed_der(&[&PKCS8_PREFIX[..], &seed].concat());
        let jwk = Jwk::from_encoding_key(&private, Algorithm::EdDSA)?;
        let AlgorithmParameters::OctetKeyPair(pair) = &jwk.algorithm else {
            return Err(KeyError::NoKey);
        };
        Ok(Self {
            kid: jwk.thumbprint(ThumbprintHash::SHA256)?,
            public_x: pair.x.clone(),
            active_from,
            seed,
            private,
        })
    }

    /// A token with these claims; its header contains the id of the key.
    ///
    /// # Errors
    /// None in practice: claims can always be written as JSON.
    pub fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        let header = Header {
            kid: Some(self.kid.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        Ok(jsonwebtoken::encode(&header, claims, &self.private)?)
    }

    /// The public half, as a JSON Web Key.
    #[must_use]
    pub fn public(&self) -> Jwk {
        Jwk {
            common: CommonParameters {
                public_key_use: Some(PublicKeyUse::Signature),
                key_algorithm: Some(KeyAlgorithm::EdDSA),
                key_id: Some(self.kid.clone()),
                ..CommonParameters::default()
            },
            algorithm: AlgorithmParameters::OctetKeyPair(OctetKeyPairParameters {
                key_type: OctetKeyPairType::OctetKeyPair,
                curve: EllipticCurve::Ed25519,
                x: self.public_x.clone(),
            }),
        }
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("active_from", &self.active_from)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key pair of RFC 8037 appendix A, with its thumbprint.
    #[test]
    fn public_key_and_name_are_those_of_the_rfc() {
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec,
            0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03,
            0x1c, 0xae, 0x7f, 0x60,
        ];
        let key = SigningKey::from_seed(seed, Utc::now()).unwrap();
        assert_eq!(key.public_x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(key.kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn no_two_keys_are_the_same_and_none_is_printed() {
        let [one, two] = [(); 2].map(|()| SigningKey::generate(Utc::now()).unwrap());
        assert_ne!(one.kid, two.kid);
        let shown = format!("{one:?}");
        assert!(!shown.contains(&format!("{:?}", one.seed)), "{shown}");
    }
}
