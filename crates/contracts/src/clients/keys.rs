//! The keys that tokens are checked with, fetched from the users service.

use chassis::{
    BoxError,
    auth::{JwkSet, KeySource},
};
use client::{Monitor, Peer};

use super::Users;
use crate::users::v1::Key;

/// Fetches the published keys over gRPC; what each service's `chassis::auth::Verifier` stands on.
#[derive(Debug, Clone)]
pub struct UsersKeys {
    users: Users,
}

impl UsersKeys {
    /// Keys of the users service at `peer`; nothing is connected yet.
    #[must_use]
    pub fn new(peer: Peer) -> Self {
        Self::over(Users::new(peer))
    }

    /// Keys over a client that others use, too: one peer, one set of limits.
    #[must_use]
    pub fn over(users: Users) -> Self {
        Self { users }
    }

    /// What can be seen and forced from outside.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        self.users.monitor()
    }
}

#[async_trait::async_trait]
impl KeySource for UsersKeys {
    async fn fetch(&self) -> Result<JwkSet, BoxError> {
        let keys = self.users.get_keys().await?.keys;
        Ok(jwk_set(&keys)?)
    }
}

/// The set that a JWKS document of these keys stands for.
///
/// # Errors
/// A key whose fields contradict each other. Kinds of keys that are unknown here are left to whoever can
/// use them.
pub fn jwk_set(keys: &[Key]) -> Result<JwkSet, serde_json::Error> {
    // By way of JSON: the fields have the names of RFC 7517, and the library's parser validates their values.
    let keys: Vec<_> = keys
        .iter()
        .map(|key| {
            serde_json::json!({
                "kid": key.kid, "kty": key.kty, "crv": key.crv,
                "x": key.x, "alg": key.alg, "use": key.r#use,
            })
        })
        .collect();
    serde_json::from_value(serde_json::json!({ "keys": keys }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key {
            kid: "k1".into(),
            kty: "OKP".into(),
            crv: "Ed25519".into(),
            x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into(),
            alg: "EdDSA".into(),
            r#use: "sig".into(),
        }
    }

    #[test]
    fn a_key_is_a_jwk() {
        let set = jwk_set(&[key()]).unwrap();
        let mut found = serde_json::to_value(set.find("k1").unwrap()).unwrap();
        // The order of the fields depends on a feature of serde_json, which another crate in the build may enable.
        found.sort_all_objects();
        insta::assert_snapshot!(
            found.to_string(),
            @r#"{"alg":"EdDSA","crv":"Ed25519","kid":"k1","kty":"OKP","use":"sig","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#
        );
    }

    #[test]
    fn a_kind_of_key_that_is_new_does_not_hide_the_others() {
        let new = Key {
            kid: "k2".into(),
            kty: "NEW".into(),
            ..key()
        };
        assert!(jwk_set(&[new, key()]).unwrap().find("k1").is_some());
    }
}
